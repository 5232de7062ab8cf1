package provider

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/hashicorp/terraform-plugin-log/tfsdklog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/tfbake/tfbake/internal/tempdir"
)

// The plugin handshake of Terraform's providers. The cookie is no secret: it tells a person who starts a plugin by hand that
// this is not how it is used.
const (
	cookieKey   = "TF_PLUGIN_MAGIC_COOKIE"
	cookieValue = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"

	protocolVersion = 6
	maxMessage      = 256 << 20
)

// reattach serves the plugin protocol on a socket of our own rather than through go-plugin's Serve, which would choose the
// socket's place by an environment variable of the whole process, and lets a client end the server.
func reattach(ctx context.Context, o Options) (map[string]ReattachConfig, func(), error) {
	listener, remove, err := listen(o.Dir)
	if err != nil {
		return nil, nil, fmt.Errorf("serve the embedded provider: %w", err)
	}
	// Terraform's messages, its state among them, outgrow gRPC's 4 MB.
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage), grpc.UnaryInterceptor(quietly()))
	up := health.NewServer()
	up.SetServingStatus("plugin", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(server, up)

	calls := newCounted(newEngine(o))
	plugin := &tf6server.GRPCProviderPlugin{Name: Addresses[0], GRPCProvider: func() tfprotov6.ProviderServer { return calls }}
	if err := plugin.GRPCServer(nil, server); err != nil {
		listener.Close()
		remove()
		return nil, nil, fmt.Errorf("serve the embedded provider: %w", err)
	}

	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ends with Stop; another end shows as terraform's failing calls
	}()
	end := sync.OnceFunc(func() {
		calls.stop() // their answers, the state among them, still reach terraform
		drain(server)
		<-served
		remove()
	})
	unwatch := context.AfterFunc(ctx, end)
	stop := func() {
		unwatch()
		end() // waits for an end under way
	}

	config := ReattachConfig{
		Protocol: "grpc", ProtocolVersion: protocolVersion, Pid: os.Getpid(), Test: true,
		Addr: ReattachAddr{Network: listener.Addr().Network(), String: listener.Addr().String()},
	}
	info := map[string]ReattachConfig{}
	for _, address := range Addresses {
		info[address] = config
	}
	return info, stop, nil
}

// quietly keeps the protocol library's log off our standard error. In a plugin process terraform reads that log and filters
// it; here nobody does, and it would pass by all that hides secrets.
func quietly() grpc.UnaryServerInterceptor {
	sink := silence()
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return handler(withValues{ctx, sink}, req)
	}
}

// silence is the library's sink for where no terraform reads the log. It is off unless the environment asks for it, so that is
// asked without what a user may have set for terraform.
var silence = sync.OnceValue(func() context.Context {
	for _, name := range []string{"TF_LOG", "TF_LOG_PATH", "TF_LOG_PATH_MASK", "TF_ACC_LOG_PATH"} {
		if v, ok := os.LookupEnv(name); ok {
			os.Unsetenv(name)
			defer os.Setenv(name, v)
		}
	}
	return tfsdklog.ContextWithTestLogging(context.Background(), "tfbake")
})

// withValues is a context with another one's values beside its own.
type withValues struct {
	context.Context
	values context.Context
}

func (c withValues) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.values.Value(key)
}

// listen opens a socket that only this user reaches: a unix socket in the run directory, with which it goes when we were
// killed; where its path would be too long for a socket, or the file system knows none, in a temporary directory of its own;
// and where there are no such sockets, a loopback port. remove takes away what the listener leaves.
func listen(runDir string) (l net.Listener, remove func(), err error) {
	remove = func() {}
	if runtime.GOOS == "windows" {
		l, err = net.Listen("tcp", "127.0.0.1:0")
		return l, remove, err
	}
	// The path is absolute, because terraform runs elsewhere.
	if dir, err := filepath.Abs(runDir); runDir != "" && err == nil && private(dir) {
		// A name of its own: an earlier process that was killed may have left its socket.
		if l, err := net.Listen("unix", filepath.Join(dir, fmt.Sprintf("p%08x", rand.Uint32()))); err == nil {
			return l, remove, nil
		}
	}
	dir, removeDir, err := tempdir.Make()
	if err != nil {
		return nil, nil, err
	}
	if l, err = net.Listen("unix", filepath.Join(dir, "p")); err == nil {
		return l, removeDir, nil
	}
	removeDir()
	short, shortErr := os.MkdirTemp("/tmp", "tfbake-") // the last resort, where TMPDIR is long, too
	if shortErr != nil {
		return nil, nil, errors.Join(err, shortErr)
	}
	if l, shortErr = net.Listen("unix", filepath.Join(short, "p")); shortErr != nil {
		os.RemoveAll(short)
		return nil, nil, errors.Join(err, shortErr)
	}
	return l, func() { os.RemoveAll(short) }, nil
}

// private tells whether dir is this user's alone.
func private(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.Mode().Perm()&0o077 == 0
}

// drain lets the server's last answers go out, and then ends it, closing socket and connections.
func drain(server *grpc.Server) {
	const patience = 2 * time.Second
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		server.GracefulStop() // waits for the clients to hang up, too, which they need not do
	}()
	select {
	case <-drained:
	case <-time.After(patience):
		server.Stop()
		<-drained
	}
}

// counted is an engine whose calls to the API can be stopped: they are cancelled and waited for.
type counted struct {
	*engine
	mu       sync.Mutex
	stopping bool
	running  map[int]context.CancelCauseFunc
	next     int
	idle     sync.Cond
}

func newCounted(e *engine) *counted {
	c := &counted{engine: e, running: map[int]context.CancelCauseFunc{}}
	c.idle.L = &c.mu
	return c
}

var errStopping = errors.New("tfbake ends the embedded provider")

// begin notes a call. The context it returns ends when the call's own does, and with a stop.
func (c *counted) begin(ctx context.Context) (context.Context, func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping {
		return nil, nil, errStopping
	}
	ctx, cancel := context.WithCancelCause(ctx)
	id := c.next
	c.next++
	c.running[id] = cancel
	return ctx, func() {
		cancel(nil)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.running, id)
		c.idle.Broadcast()
	}, nil
}

// stop cancels the calls under way, refuses new ones, and returns when none is left.
func (c *counted) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	for _, cancel := range c.running {
		cancel(errStopping)
	}
	for len(c.running) > 0 {
		c.idle.Wait()
	}
}

func (c *counted) ConfigureProvider(ctx context.Context, r *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	return during(ctx, c, r, c.engine.ConfigureProvider)
}

func (c *counted) ReadResource(ctx context.Context, r *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	return during(ctx, c, r, c.engine.ReadResource)
}

func (c *counted) ApplyResourceChange(ctx context.Context, r *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	return during(ctx, c, r, c.engine.ApplyResourceChange)
}

func (c *counted) ReadDataSource(ctx context.Context, r *tfprotov6.ReadDataSourceRequest) (*tfprotov6.ReadDataSourceResponse, error) {
	return during(ctx, c, r, c.engine.ReadDataSource)
}

func during[Req, Resp any](ctx context.Context, c *counted, r Req, call func(context.Context, Req) (Resp, error)) (Resp, error) {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		var zero Resp
		return zero, err
	}
	defer done()
	return call(ctx, r)
}

// pluginName is the file name under which terraform finds the flavour's provider.
func pluginName(f Flavour) string {
	name := "terraform-provider-ncloud_v" + f.Version()
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return name
}

// StartedByTerraform says whether this process was started by terraform or tofu as a provider plugin: by the magic cookie
// in the environment and the program's name (see InstallMirror). main asks it first of all, for a plugin process must
// write nothing to standard output but the handshake.
func StartedByTerraform() bool {
	_, ok := pluginFlavour(os.Args[0], os.Getenv)
	return ok
}

func pluginFlavour(program string, env func(string) string) (Flavour, bool) {
	if env(cookieKey) != cookieValue {
		return VPC, false
	}
	base := filepath.Base(program)
	for _, f := range []Flavour{VPC, Classic} {
		if strings.EqualFold(base, pluginName(f)) {
			return f, true
		}
	}
	return VPC, false
}

// Serve is the main program of a plugin process: it serves the flavour the program is named after to the terraform that
// started it, and returns when that has ended it. Only to be called when StartedByTerraform: it owns standard output and
// ignores interrupts, which terraform passes on in its own way.
func Serve() error {
	f, ok := pluginFlavour(os.Args[0], os.Getenv)
	if !ok {
		return errors.New("serve the provider: this process was not started by terraform")
	}
	e := newEngine(Options{Flavour: f})
	if err := tf6server.Serve(Addresses[0], func() tfprotov6.ProviderServer { return e }); err != nil {
		return fmt.Errorf("serve the provider: %w", err)
	}
	return nil
}

// InstallMirror lays this program down as the official provider's plugin below dir, which is a run directory, in
// terraform.d/plugins: Terraform's implied local mirror, and OpenTofu's. A terraform started in dir then finds the
// provider without any registry. It returns the path of the plugin in Terraform's part. The program is hard linked, or
// copied where that cannot be. Doing it again replaces what is there if it is another program.
func InstallMirror(dir string, f Flavour) (string, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return "", fmt.Errorf("lay down the provider plugin: find this program: %w", err)
	}
	return installMirror(dir, f, self)
}

func installMirror(dir string, f Flavour, program string) (string, error) {
	var first string
	for _, address := range Addresses {
		path := filepath.Join(dir, "terraform.d", "plugins", filepath.FromSlash(address), f.Version(), runtime.GOOS+"_"+runtime.GOARCH, pluginName(f))
		if first == "" {
			first = path
		}
		if err := place(program, path); err != nil {
			return "", fmt.Errorf("lay down the provider plugin %s: %w", path, err)
		}
	}
	return first, nil
}

// place makes path the program: a hard link, or a copy that appears whole or not at all.
func place(program, path string) error {
	if sameProgram(program, path) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if os.Link(program, path) == nil {
		return nil
	}
	in, err := os.Open(program)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(path), ".plugin-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name()) // does nothing after the rename
	_, err = io.Copy(out, in)
	err = errors.Join(err, out.Chmod(0o700), out.Sync(), out.Close())
	if err != nil {
		return err
	}
	return os.Rename(out.Name(), path)
}

// sameProgram says whether path is the program already, as a link or by content.
func sameProgram(program, path string) bool {
	a, errA := os.Stat(program)
	b, errB := os.Stat(path)
	if errA != nil || errB != nil {
		return false
	}
	if os.SameFile(a, b) {
		return true
	}
	if a.Size() != b.Size() || b.Mode()&0o100 == 0 && runtime.GOOS != "windows" {
		return false
	}
	sumA, errA := sum(program)
	sumB, errB := sum(path)
	return errA == nil && errB == nil && sumA == sumB
}

func sum(path string) (out [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return out, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return out, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
