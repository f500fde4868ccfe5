package process

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// maxHandshake bounds the line a plugin introduces itself with: addresses and a certificate of about 1 KB.
const maxHandshake = 8 << 10

// handshakeReader gives go-plugin the first line a plugin writes and nothing else, and drains the rest: a plugin that
// prints to standard output afterwards neither blocks nor is listened to.
type handshakeReader struct {
	src  *os.File
	once sync.Once
	line *strings.Reader
	err  error
	done chan struct{}
}

func newHandshakeReader(src *os.File) *handshakeReader {
	return &handshakeReader{src: src, done: make(chan struct{})}
}

func (h *handshakeReader) Read(p []byte) (int, error) {
	h.once.Do(h.first)
	if h.line != nil && h.line.Len() > 0 {
		return h.line.Read(p)
	}
	<-h.done // the end of the plugin's output is the end of this reader, as go-plugin expects
	if h.err != nil {
		return 0, h.err
	}
	return 0, io.EOF
}

func (h *handshakeReader) first() {
	br := bufio.NewReaderSize(h.src, maxHandshake)
	b, err := br.ReadSlice('\n')
	text := string(bytes.TrimRight(b, "\r\n"))
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		text = fmt.Sprintf("(a line of more than %d bytes)", maxHandshake)
	case err != nil && text == "":
		close(h.done)
		return
	}
	h.line = strings.NewReader(Printable(text) + "\n")
	go func() {
		defer close(h.done)
		_, _ = io.Copy(io.Discard, br)
	}()
}

// Close ends the reader whatever the plugin, or a child of its that holds the pipe, does.
func (h *handshakeReader) Close() error { return h.src.Close() }
