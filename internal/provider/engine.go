package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/zclconf/go-cty/cty"
)

// resource is one kind of managed object: its schema and what to do with it. create, read, update and delete work on an object
// that they fill as they learn; what it holds when they return, error or not, becomes the state.
type resource struct {
	name   string
	schema *schema
	// older says that the official resource is of the older SDK, whose plans and results Terraform checks less strictly and
	// whose state carries private data of its own.
	older bool
	// timeouts are the default bounds of "create", "update" and "delete".
	timeouts map[string]time.Duration
	// normalize gives attributes' planned values the form the API answers in.
	normalize map[string]func(cty.Value) cty.Value
	// plan adds to a plan that makes or changes the object.
	plan     func(*plan)
	validate func(config *object) error
	// importAs is the attribute an imported id goes to; default "id".
	importAs string

	// create makes the object. It must set "id" as soon as the API has answered, before any wait.
	create func(ctx context.Context, s *session, o *object) error
	// read refreshes o and says whether the object still exists.
	read func(ctx context.Context, s *session, o *object) (bool, error)
	// update makes the object from prior into o.
	update func(ctx context.Context, s *session, prior, o *object) error
	// delete removes the object. One that is gone already is no error.
	delete func(ctx context.Context, s *session, o *object) error
}

// dataSource is one kind of question: read fills o, which holds the configuration.
type dataSource struct {
	name     string
	schema   *schema
	validate func(config *object) error
	read     func(ctx context.Context, s *session, o *object) error
}

// engine answers the plugin protocol for one flavour. It is safe for concurrent use; a later configure replaces the session.
type engine struct {
	options   Options
	provider  *schema
	resources map[string]*resource
	data      map[string]*dataSource

	mu      sync.Mutex
	session *session
}

var _ tfprotov6.ProviderServer = (*engine)(nil)

func newEngine(o Options) *engine {
	e := &engine{options: o, provider: providerSchema, resources: map[string]*resource{}, data: map[string]*dataSource{}}
	resources, data := vpcResources, vpcData
	if o.Flavour == Classic {
		resources, data = classicResources, classicData
	}
	for _, r := range resources() {
		e.resources[r.name] = r
	}
	for _, d := range data() {
		e.data[d.name] = d
	}
	return e
}

func (e *engine) configured() (*session, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.session == nil {
		return nil, errors.New("the provider is not configured: its region or keys depend on something that is not known yet")
	}
	return e.session, nil
}

func (e *engine) capabilities() *tfprotov6.ServerCapabilities {
	return &tfprotov6.ServerCapabilities{GetProviderSchemaOptional: true, PlanDestroy: false}
}

func (e *engine) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	resp := &tfprotov6.GetMetadataResponse{ServerCapabilities: e.capabilities()}
	for _, name := range sortedKeys(e.resources) {
		resp.Resources = append(resp.Resources, tfprotov6.ResourceMetadata{TypeName: name})
	}
	for _, name := range sortedKeys(e.data) {
		resp.DataSources = append(resp.DataSources, tfprotov6.DataSourceMetadata{TypeName: name})
	}
	return resp, nil
}

func (e *engine) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	resp := &tfprotov6.GetProviderSchemaResponse{
		ServerCapabilities: e.capabilities(),
		Provider:           e.provider.protocol(),
		ResourceSchemas:    map[string]*tfprotov6.Schema{},
		DataSourceSchemas:  map[string]*tfprotov6.Schema{},
	}
	for name, r := range e.resources {
		resp.ResourceSchemas[name] = r.schema.protocol()
	}
	for name, d := range e.data {
		resp.DataSourceSchemas[name] = d.schema.protocol()
	}
	return resp, nil
}

func (e *engine) GetResourceIdentitySchemas(context.Context, *tfprotov6.GetResourceIdentitySchemasRequest) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{IdentitySchemas: map[string]*tfprotov6.ResourceIdentitySchema{}}, nil
}

func (e *engine) ValidateProviderConfig(_ context.Context, req *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: req.Config}, nil
}

func (e *engine) ConfigureProvider(ctx context.Context, req *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	resp := &tfprotov6.ConfigureProviderResponse{}
	v, err := decode(req.Config, e.provider.typ)
	if err == nil {
		var s *session
		if s, err = configure(ctx, e.options, newObject(e.provider, v)); err == nil {
			e.mu.Lock()
			e.session = s
			e.mu.Unlock()
		}
	}
	if err != nil {
		resp.Diagnostics = append(resp.Diagnostics, failure("configure the ncloud provider", err))
	}
	return resp, nil
}

// StopProvider has nothing to do: the protocol server cancels the contexts of all calls under way.
func (e *engine) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

func (e *engine) ValidateResourceConfig(_ context.Context, req *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	r, ok := e.resources[req.TypeName]
	if !ok {
		return &tfprotov6.ValidateResourceConfigResponse{Diagnostics: unknownType("resource", req.TypeName)}, nil
	}
	return &tfprotov6.ValidateResourceConfigResponse{Diagnostics: validate(r.schema, req.Config, r.validate)}, nil
}

func (e *engine) ValidateDataResourceConfig(_ context.Context, req *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	d, ok := e.data[req.TypeName]
	if !ok {
		return &tfprotov6.ValidateDataResourceConfigResponse{Diagnostics: unknownType("data source", req.TypeName)}, nil
	}
	return &tfprotov6.ValidateDataResourceConfigResponse{Diagnostics: validate(d.schema, req.Config, d.validate)}, nil
}

func unknownType(kind, name string) []*tfprotov6.Diagnostic {
	return []*tfprotov6.Diagnostic{failure("unknown "+kind, fmt.Errorf("tfbake's embedded provider has no %s %s; use the official provider, -provider official", kind, name))}
}

// validate checks a configuration against the rules of its schema. Values that are not known yet pass.
func validate(s *schema, config *tfprotov6.DynamicValue, more func(*object) error) []*tfprotov6.Diagnostic {
	v, err := decode(config, s.typ)
	if err != nil {
		return []*tfprotov6.Diagnostic{failure("read the configuration", err)}
	}
	o := newObject(s, v)
	ds := validateAttributes(s.attributes, o.values, nil)
	for _, name := range sortedKeys(s.blocks) {
		b := s.blocks[name]
		if b.nesting == tfprotov6.SchemaNestedBlockNestingModeSingle {
			continue // timeouts; parsed when used
		}
		for i, e := range o.list(name) {
			if e.IsKnown() {
				ds = append(ds, validateAttributes(b.attributes, e.AsValueMap(), cty.GetAttrPath(name).IndexInt(i))...)
			}
		}
	}
	if _, ok := s.blocks["timeouts"]; ok {
		for _, op := range sortedKeys(s.blocks["timeouts"].attributes) {
			if _, err := o.timeout(op, 0); err != nil {
				ds = append(ds, at(failure("invalid timeout", err), cty.GetAttrPath("timeouts").GetAttr(op)))
			}
		}
	}
	if more != nil {
		if err := more(o); err != nil {
			ds = append(ds, failure("invalid configuration", err))
		}
	}
	return ds
}

func validateAttributes(attributes map[string]*attribute, values map[string]cty.Value, below cty.Path) []*tfprotov6.Diagnostic {
	var ds []*tfprotov6.Diagnostic
	for _, name := range sortedKeys(attributes) {
		a, v := attributes[name], values[name]
		path := append(below.Copy(), cty.GetAttrStep{Name: name})
		if v.IsNull() {
			continue
		}
		if a.deprecated != "" {
			ds = append(ds, at(&tfprotov6.Diagnostic{
				Severity: tfprotov6.DiagnosticSeverityWarning, Summary: "Argument is deprecated", Detail: a.deprecated,
			}, path))
		}
		for _, other := range a.conflicts {
			// What is not known yet (a module's variable while terraform validates) may still turn out null.
			if v.IsKnown() && values[other].IsKnown() && !values[other].IsNull() {
				ds = append(ds, at(failure("Conflicting configuration arguments", fmt.Errorf("%q conflicts with %s", name, other)), path))
			}
		}
		for _, other := range a.with {
			if values[other].IsNull() {
				ds = append(ds, at(failure("Missing required argument", fmt.Errorf("%q needs %s to be set as well", name, other)), path))
			}
		}
		if a.check != nil && v.IsWhollyKnown() {
			if err := a.check(v); err != nil {
				ds = append(ds, at(failure("invalid value for "+name, err), path))
			}
		}
	}
	return ds
}

// UpgradeResourceState reads state as any release of the official provider or we have written it: all schemas are version 0.
func (e *engine) UpgradeResourceState(_ context.Context, req *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	resp := &tfprotov6.UpgradeResourceStateResponse{}
	r, ok := e.resources[req.TypeName]
	if !ok {
		resp.Diagnostics = unknownType("resource", req.TypeName)
		return resp, nil
	}
	err := func() error {
		if req.RawState == nil || req.RawState.JSON == nil {
			return errors.New("the state is of a format older than Terraform 0.12; run that Terraform's upgrade first")
		}
		v, err := decodeState(req.RawState.JSON, r.schema.typ)
		if err != nil {
			return err
		}
		resp.UpgradedState, err = encode(newObject(r.schema, v).value(), r.schema.typ)
		return err
	}()
	if err != nil {
		resp.Diagnostics = append(resp.Diagnostics, failure("read the state of "+r.name, err))
	}
	return resp, nil
}

func (e *engine) ReadResource(ctx context.Context, req *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	resp := &tfprotov6.ReadResourceResponse{NewState: req.CurrentState, Private: req.Private}
	r, ok := e.resources[req.TypeName]
	if !ok {
		resp.Diagnostics = unknownType("resource", req.TypeName)
		return resp, nil
	}
	err := func() error {
		s, err := e.configured()
		if err != nil {
			return err
		}
		v, err := decode(req.CurrentState, r.schema.typ)
		if err != nil || v.IsNull() {
			return err
		}
		o := newObject(r.schema, v)
		found, err := r.read(ctx, s, o)
		if err != nil {
			return s.explain(ctx, err)
		}
		if !found {
			resp.NewState, err = encode(r.schema.null(), r.schema.typ)
			return err
		}
		o.settle()
		resp.NewState, err = encode(o.value(), r.schema.typ)
		return err
	}()
	if err != nil {
		resp.Diagnostics = append(resp.Diagnostics, failure("read "+r.name, err))
	}
	return resp, nil
}

func (e *engine) PlanResourceChange(_ context.Context, req *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	resp := &tfprotov6.PlanResourceChangeResponse{PlannedState: req.ProposedNewState, PlannedPrivate: req.PriorPrivate}
	r, ok := e.resources[req.TypeName]
	if !ok {
		resp.Diagnostics = unknownType("resource", req.TypeName)
		return resp, nil
	}
	//lint:ignore SA1019 the official resource needs it, and so its equal; see the package comment
	resp.UnsafeToUseLegacyTypeSystem = r.older
	err := func() error {
		proposed, err := decode(req.ProposedNewState, r.schema.typ)
		if err != nil || proposed.IsNull() {
			return err // a destroy: nothing to plan
		}
		config, err := decode(req.Config, r.schema.typ)
		if err != nil {
			return err
		}
		priorValue, err := decode(req.PriorState, r.schema.typ)
		if err != nil {
			return err
		}
		var prior *object
		if !priorValue.IsNull() {
			prior = newObject(r.schema, priorValue)
		}
		p := makePlan(r, newObject(r.schema, config), prior)
		for _, path := range p.replace {
			resp.RequiresReplace = append(resp.RequiresReplace, wirePath(path))
		}
		if resp.PlannedPrivate, err = r.private(req.PriorPrivate, p.planned); err != nil {
			return err
		}
		resp.PlannedState, err = encode(p.planned.value(), r.schema.typ)
		return err
	}()
	if err != nil {
		resp.Diagnostics = append(resp.Diagnostics, failure("plan "+r.name, err))
	}
	return resp, nil
}

// afterwards is how long an update that failed may still take to read what the object has become.
const afterwards = 10 * time.Second

func (e *engine) ApplyResourceChange(ctx context.Context, req *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	resp := &tfprotov6.ApplyResourceChangeResponse{NewState: req.PriorState, Private: req.PlannedPrivate}
	r, ok := e.resources[req.TypeName]
	if !ok {
		resp.Diagnostics = unknownType("resource", req.TypeName)
		return resp, nil
	}
	//lint:ignore SA1019 as in PlanResourceChange
	resp.UnsafeToUseLegacyTypeSystem = r.older
	doing := "apply "
	state := func(v cty.Value) (err error) {
		resp.NewState, err = encode(v, r.schema.typ)
		return err
	}
	err := func() error {
		s, err := e.configured()
		if err != nil {
			return err
		}
		priorValue, err := decode(req.PriorState, r.schema.typ)
		if err != nil {
			return err
		}
		plannedValue, err := decode(req.PlannedState, r.schema.typ)
		if err != nil {
			return err
		}
		gone := r.schema.null()

		switch {
		case plannedValue.IsNull():
			doing = "delete "
			o := newObject(r.schema, priorValue)
			ctx, cancel, err := r.bounded(ctx, "delete", o)
			if err != nil {
				return err
			}
			defer cancel()
			if err := r.delete(ctx, s, o); err != nil {
				return s.explain(ctx, err) // the object stays in state
			}
			resp.Private = nil
			return state(gone)

		case priorValue.IsNull():
			doing = "create "
			o := newObject(r.schema, plannedValue)
			o.settle()
			ctx, cancel, err := r.bounded(ctx, "create", o)
			if err != nil {
				return err
			}
			defer cancel()
			err = r.create(ctx, s, o)
			o.settle()
			if o.text("id") == "" {
				if err == nil {
					err = errors.New("the API answered without a number for what it made")
				}
				resp.Private = nil
				return errors.Join(s.explain(ctx, err), state(gone))
			}
			if err != nil {
				// Terraform keeps what we return, marks it as tainted and destroys it next.
				err = fmt.Errorf("%w (%s exists and is in the state; terraform destroy removes it)", s.explain(ctx, err), o.text("id"))
			}
			return errors.Join(err, state(o.value()))

		default:
			doing = "update "
			prior, o := newObject(r.schema, priorValue), newObject(r.schema, plannedValue)
			for name, v := range o.values {
				if !v.IsWhollyKnown() {
					o.values[name] = prior.values[name]
				}
			}
			if r.update == nil {
				return state(o.value())
			}
			ctx, cancel, err := r.bounded(ctx, "update", o)
			if err != nil {
				return err
			}
			defer cancel()
			if err := r.update(ctx, s, prior, o); err != nil {
				// Half of it may be done: state says what is, not what was wanted.
				err = s.explain(ctx, err)
				readCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
				defer cancel()
				if found, readErr := r.read(readCtx, s, prior); readErr == nil && found {
					prior.settle()
					return errors.Join(err, state(prior.value()))
				}
				return err
			}
			o.settle()
			return state(o.value())
		}
	}()
	if err != nil {
		resp.Diagnostics = append(resp.Diagnostics, failure(doing+r.name, err))
	}
	return resp, nil
}

// bounded gives an operation its deadline: the timeouts block's, or the resource's own.
func (r *resource) bounded(ctx context.Context, operation string, o *object) (context.Context, context.CancelFunc, error) {
	limit := r.timeouts[operation]
	if limit == 0 {
		limit = defaultTimeout
	}
	if _, ok := r.schema.blocks["timeouts"]; ok {
		var err error
		if limit, err = o.timeout(operation, limit); err != nil {
			return nil, nil, err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %s", limit))
	return ctx, cancel, nil
}

// timeout is what the timeouts block says of the operation, or otherwise.
func (o *object) timeout(operation string, otherwise time.Duration) (time.Duration, error) {
	v := o.get("timeouts")
	if !v.IsKnown() || v.IsNull() || !v.Type().HasAttribute(operation) {
		return otherwise, nil
	}
	s := textOf(v.GetAttr(operation))
	if s == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("timeout of %s: %q is not a duration such as \"30m\" or \"1h\"", operation, s)
	}
	return d, nil
}

func (e *engine) ImportResourceState(_ context.Context, req *tfprotov6.ImportResourceStateRequest) (*tfprotov6.ImportResourceStateResponse, error) {
	resp := &tfprotov6.ImportResourceStateResponse{}
	r, ok := e.resources[req.TypeName]
	if !ok {
		resp.Diagnostics = unknownType("resource", req.TypeName)
		return resp, nil
	}
	err := func() error {
		o := newObject(r.schema, r.schema.null())
		name := r.importAs
		if name == "" {
			name = "id"
		}
		o.setText(name, req.ID)
		private, err := r.private(nil, o)
		if err != nil {
			return err
		}
		state, err := encode(o.value(), r.schema.typ)
		if err != nil {
			return err
		}
		resp.ImportedResources = []*tfprotov6.ImportedResource{{TypeName: r.name, State: state, Private: private}}
		return nil
	}()
	if err != nil {
		resp.Diagnostics = append(resp.Diagnostics, failure("import "+r.name, err))
	}
	return resp, nil
}

// timeoutsKey is where the older SDK keeps a resource's timeouts in the private part of its state. The official provider takes
// its deadlines from there.
const timeoutsKey = "e2bfb730-ecaa-11e6-8f88-34363bc7c4c0"

// private is the private part of the state: what was there, and for the older resources their timeouts, in nanoseconds.
func (r *resource) private(prior []byte, o *object) ([]byte, error) {
	if !r.older {
		return prior, nil
	}
	private := map[string]any{}
	if len(prior) > 0 {
		// Numbers stay as they are written: they are larger than a float can hold exactly.
		d := json.NewDecoder(bytes.NewReader(prior))
		d.UseNumber()
		if err := d.Decode(&private); err != nil {
			return nil, fmt.Errorf("private part of the state: %w", err)
		}
	}
	if b, ok := r.schema.blocks["timeouts"]; ok {
		limits := map[string]int64{}
		for operation := range b.attributes {
			d, err := o.timeout(operation, r.timeouts[operation])
			if err != nil {
				return nil, err
			}
			limits[operation] = int64(d)
		}
		private[timeoutsKey] = limits
	}
	if len(private) == 0 {
		return prior, nil
	}
	return json.Marshal(private)
}

func (e *engine) ReadDataSource(ctx context.Context, req *tfprotov6.ReadDataSourceRequest) (*tfprotov6.ReadDataSourceResponse, error) {
	resp := &tfprotov6.ReadDataSourceResponse{}
	d, ok := e.data[req.TypeName]
	if !ok {
		resp.Diagnostics = unknownType("data source", req.TypeName)
		return resp, nil
	}
	err := func() error {
		s, err := e.configured()
		if err != nil {
			return err
		}
		v, err := decode(req.Config, d.schema.typ)
		if err != nil {
			return err
		}
		o := newObject(d.schema, v)
		ctx, cancel := context.WithTimeoutCause(ctx, defaultTimeout, fmt.Errorf("not done after %s", defaultTimeout))
		defer cancel()
		if err := d.read(ctx, s, o); err != nil {
			return s.explain(ctx, err)
		}
		o.settle()
		resp.State, err = encode(o.value(), d.schema.typ)
		return err
	}()
	if err != nil {
		resp.Diagnostics = append(resp.Diagnostics, failure("read data source "+d.name, err))
	}
	return resp, nil
}

// The rest of the protocol is for what the official provider does not have either.

func (e *engine) MoveResourceState(_ context.Context, req *tfprotov6.MoveResourceStateRequest) (*tfprotov6.MoveResourceStateResponse, error) {
	return &tfprotov6.MoveResourceStateResponse{Diagnostics: unsupported("moving state from " + req.SourceTypeName)}, nil
}

func (e *engine) UpgradeResourceIdentity(_ context.Context, req *tfprotov6.UpgradeResourceIdentityRequest) (*tfprotov6.UpgradeResourceIdentityResponse, error) {
	return &tfprotov6.UpgradeResourceIdentityResponse{Diagnostics: unsupported("the identity of " + req.TypeName)}, nil
}

func (e *engine) GenerateResourceConfig(_ context.Context, req *tfprotov6.GenerateResourceConfigRequest) (*tfprotov6.GenerateResourceConfigResponse, error) {
	return &tfprotov6.GenerateResourceConfigResponse{Diagnostics: unsupported("generating configuration for " + req.TypeName)}, nil
}

func (e *engine) CallFunction(_ context.Context, req *tfprotov6.CallFunctionRequest) (*tfprotov6.CallFunctionResponse, error) {
	return &tfprotov6.CallFunctionResponse{Error: &tfprotov6.FunctionError{Text: "the ncloud provider has no function " + req.Name}}, nil
}

func (e *engine) GetFunctions(context.Context, *tfprotov6.GetFunctionsRequest) (*tfprotov6.GetFunctionsResponse, error) {
	return &tfprotov6.GetFunctionsResponse{Functions: map[string]*tfprotov6.Function{}}, nil
}

func (e *engine) ValidateEphemeralResourceConfig(_ context.Context, req *tfprotov6.ValidateEphemeralResourceConfigRequest) (*tfprotov6.ValidateEphemeralResourceConfigResponse, error) {
	return &tfprotov6.ValidateEphemeralResourceConfigResponse{Diagnostics: unsupported("ephemeral resource " + req.TypeName)}, nil
}

func (e *engine) OpenEphemeralResource(_ context.Context, req *tfprotov6.OpenEphemeralResourceRequest) (*tfprotov6.OpenEphemeralResourceResponse, error) {
	return &tfprotov6.OpenEphemeralResourceResponse{Diagnostics: unsupported("ephemeral resource " + req.TypeName)}, nil
}

func (e *engine) RenewEphemeralResource(_ context.Context, req *tfprotov6.RenewEphemeralResourceRequest) (*tfprotov6.RenewEphemeralResourceResponse, error) {
	return &tfprotov6.RenewEphemeralResourceResponse{Diagnostics: unsupported("ephemeral resource " + req.TypeName)}, nil
}

func (e *engine) CloseEphemeralResource(_ context.Context, req *tfprotov6.CloseEphemeralResourceRequest) (*tfprotov6.CloseEphemeralResourceResponse, error) {
	return &tfprotov6.CloseEphemeralResourceResponse{Diagnostics: unsupported("ephemeral resource " + req.TypeName)}, nil
}

func unsupported(what string) []*tfprotov6.Diagnostic {
	return []*tfprotov6.Diagnostic{failure("not supported", errors.New(what+" is not supported by the ncloud provider"))}
}
