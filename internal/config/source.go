package config

import (
	"bytes"
	"sort"
	"sync"
	"unicode/utf8"

	"github.com/apparentlymart/go-textseg/v15/textseg"
	"github.com/hashicorp/hcl/v2"
)

// source is a file's text with what is needed to turn byte offsets into lines and columns.
type source struct {
	name  string
	bytes []byte

	lines []int // offset of each line's first byte

	once    sync.Once
	columns []int32 // column of every byte; nil while the file is all ASCII, where columns are plain arithmetic
}

func newSource(name string, b []byte) *source {
	s := &source{name: name, bytes: b, lines: []int{0}}
	for i := 0; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return s
		}
		i += n + 1
		s.lines = append(s.lines, i)
	}
}

// pos turns a byte offset into a position. Columns count what a reader sees as one character, as hcl.Pos wants it.
func (s *source) pos(off int) hcl.Pos {
	off = max(0, min(off, len(s.bytes)))
	line := sort.SearchInts(s.lines, off+1) - 1
	s.once.Do(s.countColumns)
	column := off - s.lines[line] + 1
	if s.columns != nil {
		column = int(s.columns[off])
	}
	return hcl.Pos{Line: line + 1, Column: column, Byte: off}
}

// rng is the range of the bytes [from, to).
func (s *source) rng(from, to int) hcl.Range {
	return hcl.Range{Filename: s.name, Start: s.pos(from), End: s.pos(to)}
}

func (s *source) countColumns() {
	ascii := true
	for _, c := range s.bytes {
		if c >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if ascii {
		return
	}
	s.columns = make([]int32, len(s.bytes)+1)
	for i, from := range s.lines {
		to := len(s.bytes)
		if i+1 < len(s.lines) {
			to = s.lines[i+1]
		}
		column, line := int32(1), s.bytes[from:to]
		for off := 0; off < len(line); column++ {
			n, _, err := textseg.ScanGraphemeClusters(line[off:], true)
			if err != nil || n <= 0 {
				n = 1
			}
			for k := off; k < off+n; k++ {
				s.columns[from+k] = column
			}
			off += n
		}
		if i+1 == len(s.lines) {
			s.columns[to] = column
		}
	}
}
