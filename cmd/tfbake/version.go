package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the release build: -ldflags "-X main.version=1.2.3".
var version = ""

func toolVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "dev"
	}
	return info.Main.Version
}

func cmdVersion(_ context.Context, a *app, args []string) error {
	f := a.flags("version", "", "Prints tfbake's version.")
	if _, err := f.parse(args, 0, 0); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "tfbake %s (%s, %s/%s)\n", toolVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
