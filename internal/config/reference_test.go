package config

import "testing"

// Every function is described, and everything described is a function.
func TestFunctionsAreDescribed(t *testing.T) {
	funcs := engine{}.funcs()
	for name := range funcs {
		if _, ok := functionDocs[name]; !ok && notSupported[name] == "" {
			t.Errorf("%s is not described", name)
		}
	}
	for name := range functionDocs {
		if _, ok := funcs[name]; !ok {
			t.Errorf("%s is described and does not exist", name)
		}
	}
}
