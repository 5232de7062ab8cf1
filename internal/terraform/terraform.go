package terraform

import (
	"context"
	"errors"
)

// Terraform works in one run directory. Its methods must not be called at the same time, but for Kill.
type Terraform struct{ o Options }

var errUnwritten = errors.New("terraform: not written yet")

// New checks the options.
func New(o Options) (*Terraform, error) { return &Terraform{o: o}, nil }

// Init prepares the directory: providers, modules, backend.
func (t *Terraform) Init(ctx context.Context) error { return errUnwritten }

// Plan tells what Apply would do.
func (t *Terraform) Plan(ctx context.Context) ([]Change, error) { return nil, errUnwritten }

// Apply creates everything and returns the server. With an error it returns whatever the state holds.
func (t *Terraform) Apply(ctx context.Context) (Server, error) { return Server{}, errUnwritten }

// Destroy removes everything the state knows. ctx must be alive: give it one of its own.
func (t *Terraform) Destroy(ctx context.Context) error { return errUnwritten }

// Kill ends the running operation at once; safe to call at any time, from any goroutine.
func (t *Terraform) Kill() {}

// Show reads the state through terraform, from whatever backend it is in.
func (t *Terraform) Show(ctx context.Context) (State, error) { return State{}, errUnwritten }

// ReadState reads terraform.tfstate in dir without terraform.
func ReadState(dir string) (State, error) { return State{}, errUnwritten }

// Running tells whether a terraform started by any tfbake still works in dir, and its process id.
func Running(dir string) (pid int, running bool, err error) { return 0, false, errUnwritten }
