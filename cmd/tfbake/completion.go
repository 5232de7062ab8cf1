package main

import (
	"context"
	"fmt"
	"strings"
)

// The scripts ask `tfbake COMMAND -h` for a command's flags, so that they never know less than the program.
var completionScripts = map[string]string{
	"bash": `_tfbake() {
  local cur="${COMP_WORDS[COMP_CWORD]}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "%[1]s" -- "$cur"))
  elif [[ "$cur" == -* ]]; then
    COMPREPLY=($(compgen -W "$(tfbake "${COMP_WORDS[1]}" -h 2>&1 | sed -n 's/^  \(-[a-z0-9-]*\).*/\1/p')" -- "$cur"))
  else
    COMPREPLY=($(compgen -f -- "$cur"))
  fi
}
complete -o filenames -F _tfbake tfbake
`,
	"zsh": `#compdef tfbake
_tfbake() {
  if (( CURRENT == 2 )); then
    compadd -- %[1]s
  elif [[ "${words[CURRENT]}" == -* ]]; then
    compadd -- ${(f)"$(tfbake "${words[2]}" -h 2>&1 | sed -n 's/^  \(-[a-z0-9-]*\).*/\1/p')"}
  else
    _files
  fi
}
compdef _tfbake tfbake
`,
	"fish": `complete -c tfbake -n '__fish_use_subcommand' -f -a '%[1]s'
complete -c tfbake -n 'not __fish_use_subcommand' -a '(tfbake (commandline -opc)[2] -h 2>&1 | sed -n "s/^  \(-[a-z0-9-]*\).*/\1/p")'
`,
}

func cmdCompletion(_ context.Context, a *app, args []string) error {
	f := a.flags("completion", "bash|zsh|fish", "Prints a completion script. For bash: source <(tfbake completion bash)")
	rest, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	script, ok := completionScripts[rest[0]]
	if !ok {
		return failWith(exitUsage, fmt.Errorf("there are scripts for bash, zsh and fish, not for %q", rest[0]))
	}
	var names []string
	for _, c := range commands() {
		if !c.hidden {
			names = append(names, c.name)
		}
	}
	_, err = fmt.Fprintf(a.stdout, script, strings.Join(names, " "))
	return err
}
