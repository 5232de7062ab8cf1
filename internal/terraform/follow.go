package terraform

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// follower hands on what is appended to a file. The child writes its output to a file and not into a pipe to us, because
// a pipe dies with us: terraform's next line would end it by SIGPIPE, in the middle of a create.
type follower struct {
	path string
	to   io.WriteCloser
	at   int64 // where in the file to go on

	stop chan struct{}
	done sync.WaitGroup
}

const followEvery = 50 * time.Millisecond

// newFollower starts with what comes after the file's present end. The file need not exist yet.
func newFollower(path string, to io.WriteCloser) *follower {
	f := &follower{path: path, to: to, stop: make(chan struct{})}
	if st, err := os.Stat(path); err == nil {
		f.at = st.Size()
	}
	f.done.Go(func() {
		tick := time.NewTicker(followEvery)
		defer tick.Stop()
		for {
			select {
			case <-f.stop:
				f.copy()
				return
			case <-tick.C:
				f.copy()
			}
		}
	})
	return f
}

// finish reads to the end of the file. To be called when the writer is gone.
func (f *follower) finish() {
	close(f.stop)
	f.done.Wait()
	f.to.Close()
}

func (f *follower) copy() {
	file, err := os.Open(f.path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return // next time
		}
		f.at = 0
		return
	}
	defer file.Close()
	if st, err := file.Stat(); err != nil || st.Size() == f.at {
		return
	} else if st.Size() < f.at { // somebody cut it
		f.at = st.Size()
		return
	}
	n, _ := io.Copy(f.to, io.NewSectionReader(file, f.at, 1<<62-f.at))
	f.at += n
}
