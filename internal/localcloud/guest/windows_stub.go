package guest

import (
	"context"
	"net"
)

type winrmService struct{ g *Guest }

func newWinRM(g *Guest) *winrmService                         { return &winrmService{g} }
func (w *winrmService) sshInstalled() bool                    { return false }
func (w *winrmService) serve(context.Context, net.Conn, bool) {}
func (g *Guest) setWindowsPassword(string, string) error      { return nil }
func (g *Guest) checkWindowsPassword(string, string) bool     { return false }
func (g *Guest) windowsBoot() error                           { return nil }
func (g *Guest) windowsInit(context.Context, string)          {}
func (c *sshSession) runWindows(string) int                   { return 1 }
func winToGuest(*Guest) func(string) string                   { return func(s string) string { return s } }
func layWindows(*view, system) error                          { return nil }
