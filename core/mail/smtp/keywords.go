package smtp

import "net"

// keywords is a connection on which a server's keywords are read as they are meant: their case says nothing (RFC 5321 §2.4, §4.1.1.1),
// and the client underneath looks for capitals. It is put around TLS, never below it.
type keywords struct {
	net.Conn
	said []byte // read before anything of the connection's
	on   bool   // while the answer to EHLO is read

	column int
	answer bool // the line begins with 250
	word   bool // in the keyword
}

func (k *keywords) Read(b []byte) (int, error) {
	if len(k.said) > 0 {
		n := copy(b, k.said)
		k.said = k.said[n:]
		return n, nil
	}
	n, err := k.Conn.Read(b)
	if k.on {
		for i := range b[:n] {
			b[i] = k.read(b[i])
		}
	}
	return n, err
}

func (k *keywords) read(c byte) byte {
	if c == '\n' {
		k.column = 0
		return c
	}
	switch {
	case k.column < 3:
		k.answer = c == "250"[k.column] && (k.column == 0 || k.answer)
	case k.column == 3:
		k.word = k.answer && (c == '-' || c == ' ')
	case k.word && 'a' <= c && c <= 'z':
		c -= 'a' - 'A'
	case c == ' ' || c == '=':
		k.word = false
	}
	k.column++
	return c
}
