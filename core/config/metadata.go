package config

import (
	"github.com/sigra-auth/sigra/core/metadata/schema"
)

func readMetadata(b *block, m *Metadata) {
	b.size("max_size", &m.MaxSize, kib, 256*kib)
	b.file("public_schema", &m.PublicSchema.File)
	b.file("private_schema", &m.PrivateSchema.File)
	b.file("user_schema", &m.UserSchema.File)
}

// checkMetadata reads the schemas. A wrong one is an error: without it anything could be written until somebody looks.
func (d *decoder) checkMetadata(c *Config) {
	for path, s := range map[string]*MetadataSchema{
		"metadata.public_schema": &c.Metadata.PublicSchema, "metadata.private_schema": &c.Metadata.PrivateSchema, "metadata.user_schema": &c.Metadata.UserSchema,
	} {
		if s.File == "" || d.faulty(path) {
			continue
		}
		text, err := readFile(s.File, schema.MaxBytes)
		if err != nil {
			d.say(problem{is: "the schema " + s.File + " can't be read", want: sentence(reason(err))}, path)
			continue
		}
		if _, err := schema.Compile(text); err != nil {
			d.say(problem{is: s.File + " can't be used as a schema", want: sentence("it " + err.Error())}, path)
			continue
		}
		s.Text = string(text)
	}
}
