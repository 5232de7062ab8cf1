package bake

import (
	"context"
	"errors"
)

// tellEnd tells what came of a run: every error once, and in the last line what is left of the run.
func (s *steps) tellEnd(ctx context.Context, res Result, err error) {
	story := s.b.Story
	for _, e := range errorsIn(err) {
		if e != s.told {
			story.Error("%s", e)
		}
	}
	switch {
	case takenOver(err):
		story.Say("leaving everything to it")
	case res.Kept: // what to do with it is the caller's to say
	default:
		if err != nil {
			why := "failed"
			if ctx.Err() != nil {
				why = context.Cause(ctx).Error()
			} else if e, ok := errors.AsType[*Error](err); ok {
				why += " (" + string(e.Stage) + ")"
			}
			if res.Dir != "" {
				why += "; journal and logs: " + res.Dir
			}
			story.Error("%s", why)
		}
		TellLeft(story, res.RunID, res.Left, err)
	}
}

// errorsIn takes errors apart that were joined.
func errorsIn(err error) (all []error) {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	for _, e := range joined.Unwrap() {
		all = append(all, errorsIn(e)...)
	}
	return all
}

// takenOver tells whether another tfbake has taken the run.
func takenOver(err error) bool {
	var taken interface{ TakenOver() bool }
	return errors.As(err, &taken) && taken.TakenOver()
}
