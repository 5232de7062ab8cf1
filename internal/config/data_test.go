package config

import (
	"context"
	"errors"

	"github.com/zclconf/go-cty/cty"
)

// testData answers data blocks with what it was asked.
type testData struct{}

func (testData) Read(_ context.Context, typ string, args cty.Value) (cty.Value, error) {
	if args.Type().HasAttribute("name") && args.GetAttr("name").AsString() == "nothing" {
		return cty.NilVal, errors.New("no image is called \"nothing\"; the nearest is \"ubuntu-22.04-base\"")
	}
	return cty.ObjectVal(map[string]cty.Value{"number": cty.StringVal("104630229"), "name": cty.StringVal("ubuntu-22.04-base"), "asked": args, "type": cty.StringVal(typ)}), nil
}

// placeholders are stand-ins for the run-time values, for looking at a template without running it.
func placeholders() RunValues {
	p := func(name string) string { return "<" + name + ", known while the bake runs>" }
	return RunValues{
		BuildName: p("build name"), BuilderType: "ncloud", ID: p("server number"), Host: p("host"), Port: 22, User: p("user"),
		Password: p("password"), ConnType: "ssh", RunUUID: p("run uuid"), SSHPublicKey: p("public key"),
		SSHPrivateKey: p("private key"), SSHPrivateKeyFile: p("private key file"), WinRMPassword: p("password"),
		SourceImageName: p("source image"), ImageNo: p("image number"), ImageName: p("image name"), Region: p("region"),
		Platform: p("platform"),
	}
}
