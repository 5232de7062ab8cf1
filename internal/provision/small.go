package provision

import (
	"context"
	"errors"

	"github.com/tfbake/tfbake/internal/config"
)

// sleep waits.
func (r stepRun) sleep(ctx context.Context, p *config.Sleep) error {
	r.Story.Say("Sleeping %s...", p.Duration)
	return sleep(ctx, p.Duration)
}

// breakpoint waits for the person at the terminal. Where there is none, a bake must not hang.
func (r stepRun) breakpoint(ctx context.Context, p *config.Breakpoint) error {
	note := ""
	if p.Note != "" {
		note = ` with note "` + p.Note + `"`
	}
	switch {
	case p.Disable:
		r.Story.Say("Breakpoint%s is disabled; going on", note)
		return nil
	case r.Ask == nil:
		r.Story.Say("Breakpoint%s passed: there is no terminal to wait at", note)
		return nil
	}
	r.Story.Say("Pausing at breakpoint%s", note)
	_, err := r.Ask(ctx, "Press enter to continue.", true)
	return err
}

func (r stepRun) shellLocal(ctx context.Context, p *config.ShellLocal) error {
	return errors.New("shell-local: not yet built")
}

func (r stepRun) powershell(ctx context.Context, p *config.PowerShell) error {
	return errors.New("powershell: not yet built")
}

func (r stepRun) windowsShell(ctx context.Context, p *config.WindowsShell) error {
	return errors.New("windows-shell: not yet built")
}

func (r stepRun) windowsRestart(ctx context.Context, p *config.WindowsRestart) error {
	return errors.New("windows-restart: not yet built")
}

func (r stepRun) ansible(ctx context.Context, p *config.Ansible) error {
	return errors.New("ansible: not yet built")
}

func (o *Options) clearAuthorizedKeys(ctx context.Context) error { return nil }
