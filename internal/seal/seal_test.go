package seal

import (
	"errors"
	"strings"
	"testing"
)

func TestSealedTextOpensWithTheSameKeyAndRunOnly(t *testing.T) {
	sealed, err := Seal("secret", "run-1", []byte("-----BEGIN KEY"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(sealed, "BEGIN") {
		t.Error("the text can be read")
	}
	if text, err := Open("secret", "run-1", sealed); err != nil || string(text) != "-----BEGIN KEY" {
		t.Errorf("opened %q, %v", text, err)
	}
	for name, open := range map[string]func() error{
		"another key": func() error { _, err := Open("other", "run-1", sealed); return err },
		"another run": func() error { _, err := Open("secret", "run-2", sealed); return err },
	} {
		if err := open(); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v, want ErrKey", name, err)
		}
	}
	if _, err := Open("secret", "run-1", sealed[:20]); err == nil {
		t.Error("a cut text opened")
	}
	if _, err := Seal("", "run-1", nil); err == nil {
		t.Error("sealed without a key")
	}
	again, _ := Seal("secret", "run-1", []byte("-----BEGIN KEY"))
	if again == sealed {
		t.Error("two sealings of one text are equal: the nonce is not fresh")
	}
}

func TestADigestTellsValuesNamesRunsAndKeysApart(t *testing.T) {
	same, _ := Digest("secret", "run-1", "a", "x")
	if again, err := Digest("secret", "run-1", "a", "x"); err != nil || again != same || strings.Contains(again, "x") {
		t.Errorf("%q and %q, %v", same, again, err)
	}
	for _, other := range [][4]string{{"other", "run-1", "a", "x"}, {"secret", "run-2", "a", "x"}, {"secret", "run-1", "b", "x"}, {"secret", "run-1", "a", "y"}, {"secret", "run-1", "", "a x"}} {
		if d, _ := Digest(other[0], other[1], other[2], other[3]); d == same {
			t.Errorf("%v has the same digest", other)
		}
	}
}
