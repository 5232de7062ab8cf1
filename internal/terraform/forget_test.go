package terraform

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheErroredStateIsUsedWhereItIsGood(t *testing.T) {
	const server = `{"version":4,"serial":3,"resources":[{"mode":"managed","type":"ncloud_server","name":"this","instances":[{"attributes":{"id":"7"}}]}]}`
	good := func(s State) bool { return s.Status.Sound() && len(s.Resources) == 1 && s.Resources[0].ID == "7" }
	for name, c := range map[string]struct {
		state, errored string // "-": there is none
		used           bool
	}{
		"in place of a cut one":  {`{"version":4,"resou`, server, true},
		"in place of none":       {"-", server, true},
		"in place of a blank":    {"", server, true},
		"cut off itself":         {"-", server[:60], false},
		"without the server":     {"-", `{"version":4,"serial":3,"resources":[]}`, false},
		"where there is none":    {`{"version":4,"resou`, "-", false},
		"empty, as the state is": {"", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{StateFile: c.state, ErroredFile: c.errored} {
				if text != "-" {
					if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			used, err := (&Terraform{o: Options{Dir: dir}}).UseErroredState(t.Context(), good)
			if err != nil || used != c.used {
				t.Fatalf("used %v, %v", used, err)
			}
			state, err := ReadState(dir)
			if err != nil || good(state) != c.used {
				t.Errorf("the state is %+v, %v", state, err)
			}
			if used == exists(filepath.Join(dir, ErroredFile)) && c.errored != "-" {
				t.Error("errored.tfstate is both used and there, or neither")
			}
		})
	}
}
