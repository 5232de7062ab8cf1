package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/seal"
	"github.com/tfbake/tfbake/internal/ui"
)

// valuesOf returns the values of a template's variables, and of those that only -var knows: a JSON template may use them.
func valuesOf(tmpl *config.Template, o templateFlags) map[string]string {
	values := map[string]string{}
	for _, arg := range o.vars {
		if v, err := config.ParseVar(arg); err == nil {
			values[v.Name] = v.Value
		}
	}
	for _, v := range tmpl.Variables {
		values[v.Name] = v.Value
	}
	return values
}

// digests are what the journal notes of the values of variables, which may be secret.
func digests(ctx context.Context, client *ncloud.Client, runID string, values map[string]string) (map[string]string, error) {
	secret := client.Credentials(ctx).SecretKey
	out := map[string]string{}
	var err error
	if out[""], err = seal.Digest(secret, runID, "", ""); err != nil {
		return nil, err
	}
	for name, value := range values {
		if out[name], err = seal.Digest(secret, runID, name, value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// otherVariables names the variables whose values are not those the run began with. again reads the template once more: a
// value that is another one each time, such as one of uuid, is not compared.
func otherVariables(ctx context.Context, client *ncloud.Client, f journal.Facts, values map[string]string, again func() map[string]string, story *ui.Story) ([]string, error) {
	if len(f.Variables) == 0 { // noted by an older tfbake
		return nil, nil
	}
	now, err := digests(ctx, client, f.RunID, values)
	if err != nil {
		return nil, err
	}
	if now[""] != f.Variables[""] {
		story.Info("run %s began with another secret key: whether the variables are the same cannot be told", f.RunID)
		return nil, nil
	}
	differ := map[string]bool{}
	for _, m := range []map[string]string{now, f.Variables} {
		for name := range m {
			if now[name] != f.Variables[name] {
				differ[name] = true
			}
		}
	}
	if len(differ) > 0 {
		for name, value := range again() {
			if value != values[name] {
				delete(differ, name)
			}
		}
	}
	return slices.Sorted(maps.Keys(differ)), nil
}

// sameVariables is an error when the variables of a run that is resumed have other values than it began with.
func (a *app) sameVariables(ctx context.Context, client *ncloud.Client, f journal.Facts, tmpl *config.Template, o templateFlags, more ...option) error {
	again := func() map[string]string {
		tmpl, _, err := a.read(ctx, f.Template, o, f.LoadedAt, more...)
		if err != nil || tmpl == nil {
			return nil
		}
		return valuesOf(tmpl, o)
	}
	differ, err := otherVariables(ctx, client, f, valuesOf(tmpl, o), again, a.story)
	if err != nil || len(differ) == 0 {
		return err
	}
	what := "the variable " + differ[0] + " has not the value"
	if len(differ) > 1 {
		what = "the variables " + strings.Join(differ, ", ") + " have not the values"
	}
	return failWith(exitTemplate, fmt.Errorf("%s that run %s began with: give the same -var, -var-file and environment as then, or add -changed to go on with what is given now", what, f.RunID))
}
