package guest

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Names the rewritten scripts use. Commands with the prefix are answered by the shell itself, see internals.
const (
	inner     = "tfbake:"
	varPID    = "TFBAKE_PID"
	varPPID   = "TFBAKE_PPID"
	varBG     = "TFBAKE_BG"
	varArg0   = "TFBAKE_ARG0"
	varJob    = "TFBAKE_JOB"
	farEnd    = "-far"
	maxScript = 8 << 20
)

// fixedBuiltins may not be redefined as functions: the shell's safety rests on seeing them.
var fixedBuiltins = []string{"source", "type", "command", "builtin", "eval", "exec", "hash", "pwd", "test", "[", "trap", "unset", "shift", "alias"}

// parseScript reads a script as far as it is well-formed. It returns the statements before the first mistake, rewritten
// for the simulated shell, and the mistake: like a real shell, what stands before it runs.
func parseScript(r io.Reader, name string, homes func(user string) (string, bool)) (*syntax.File, error) {
	file := &syntax.File{Name: name}
	data, err := io.ReadAll(io.LimitReader(r, maxScript+1))
	if err != nil {
		return file, err
	}
	if len(data) > maxScript {
		return file, fmt.Errorf("%s: script larger than %d bytes", name, maxScript)
	}
	if err := depthCheck(data); err != nil {
		return file, fmt.Errorf("%s: %w", name, err)
	}
	for stmt, err := range syntax.NewParser(syntax.Variant(syntax.LangBash)).StmtsSeq(bytes.NewReader(data)) {
		if err != nil {
			if pe, ok := err.(syntax.ParseError); ok {
				pe.Filename = name
				err = pe
			}
			return file, err
		}
		file.Stmts = append(file.Stmts, stmt)
	}
	return file, rewrite(file, homes)
}

// depthCheck refuses text that would nest the parser beyond reason.
func depthCheck(data []byte) error {
	depth := 0
	for _, c := range data {
		switch c {
		case '(', '{', '[':
			if depth++; depth > 20_000 {
				return fmt.Errorf("nested too deeply")
			}
		case ')', '}', ']':
			depth = max(0, depth-1)
		}
	}
	return nil
}

// rewriteText rewrites a script given as text (eval, trap). Text that does not parse is returned as it is: the shell
// will refuse it.
func rewriteText(src string, homes func(string) (string, bool)) (string, error) {
	if depthCheck([]byte(src)) != nil {
		return "", fmt.Errorf("nested too deeply")
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(src), "")
	if err != nil {
		return src, nil
	}
	rw := &rewriter{homes: homes}
	if err := rw.file(file); err != nil {
		return "", err
	}
	if !rw.changed {
		return src, nil
	}
	var out strings.Builder
	if err := syntax.NewPrinter().Print(&out, file); err != nil {
		return "", err
	}
	return out.String(), nil
}

func rewrite(file *syntax.File, homes func(string) (string, bool)) error {
	return (&rewriter{homes: homes}).file(file)
}

// rewriter changes a parsed script where the interpreter would reach for the host (named pipes for process
// substitution, the host's accounts for ~user, its process ids) or lacks what scripts use (jobs, file descriptors
// above 2).
type rewriter struct {
	homes   func(user string) (string, bool)
	changed bool
	err     error
	done    map[*syntax.Stmt]bool
	quoted  map[*syntax.Word]bool // bodies of here-documents: no tilde there
}

func (rw *rewriter) file(f *syntax.File) error {
	rw.done, rw.quoted = map[*syntax.Stmt]bool{}, map[*syntax.Word]bool{}
	syntax.Walk(f, func(n syntax.Node) bool {
		rw.node(n)
		return rw.err == nil
	})
	return rw.err
}

func (rw *rewriter) node(n syntax.Node) {
	switch n := n.(type) {
	case *syntax.File:
		n.Stmts = rw.stmts(n.Stmts)
	case *syntax.Block:
		n.Stmts = rw.stmts(n.Stmts)
	case *syntax.Subshell:
		n.Stmts = rw.stmts(n.Stmts)
	case *syntax.CmdSubst:
		n.Stmts = rw.stmts(n.Stmts)
	case *syntax.ProcSubst:
		n.Stmts = rw.stmts(n.Stmts)
	case *syntax.IfClause:
		n.Cond, n.Then = rw.stmts(n.Cond), rw.stmts(n.Then)
	case *syntax.WhileClause:
		n.Cond, n.Do = rw.stmts(n.Cond), rw.stmts(n.Do)
	case *syntax.ForClause:
		n.Do = rw.stmts(n.Do)
	case *syntax.CaseItem:
		n.Stmts = rw.stmts(n.Stmts)
	case *syntax.CoprocClause:
		rw.err = fmt.Errorf("%s: coproc is not supported by the simulated shell", n.Pos())
	case *syntax.FuncDecl:
		if n.Name != nil && (slices.Contains(fixedBuiltins, n.Name.Value) || strings.HasPrefix(n.Name.Value, inner)) {
			rw.err = fmt.Errorf("%s: a function named %q is not supported by the simulated shell", n.Pos(), n.Name.Value)
		}
	case *syntax.Stmt:
		rw.redirects(n)
	case *syntax.Word:
		rw.word(n)
	case *syntax.DblQuoted:
		rw.parts(n.Parts)
	case *syntax.ParamExp:
		rw.param(n)
	case *syntax.UnaryTest:
		rw.unaryTest(n)
	case *syntax.DeclClause:
		rw.decl(n)
	}
}

// param gives the shell's own numbers instead of tfbake's.
func (rw *rewriter) param(n *syntax.ParamExp) {
	if n.Param == nil {
		return
	}
	name := map[string]string{"$": varPID, "PPID": varPPID, "!": varBG, "0": varArg0}[n.Param.Value]
	if name == "" {
		return
	}
	n.Param.Value, n.Short, rw.changed = name, false, true
}

func (rw *rewriter) unaryTest(n *syntax.UnaryTest) {
	switch n.Op {
	case syntax.TsUsrOwn, syntax.TsGrpOwn: // would ask the host's accounts
		n.Op, rw.changed = syntax.TsExists, true
	case syntax.TsVarSet, syntax.TsRefVar, syntax.TsFdTerm:
		word, ok := n.X.(*syntax.Word)
		if !ok {
			return
		}
		what := map[syntax.UnTestOperator]string{syntax.TsVarSet: "isset", syntax.TsRefVar: "isref", syntax.TsFdTerm: "istty"}[n.Op]
		n.Op, rw.changed = syntax.TsNempStr, true
		n.X = &syntax.Word{Parts: []syntax.WordPart{&syntax.DblQuoted{Parts: []syntax.WordPart{
			&syntax.CmdSubst{Stmts: []*syntax.Stmt{call(lit(inner+what), word)}}}}}}
	}
}

// decl drops attributes the interpreter does not know (they change nothing for most scripts).
func (rw *rewriter) decl(n *syntax.DeclClause) {
	keep := n.Args[:0:0]
	for _, a := range n.Args {
		if a.Naked && a.Name == nil && a.Value != nil {
			if s := a.Value.Lit(); len(s) > 1 && (s[0] == '-' || s[0] == '+') {
				kept := strings.Map(func(r rune) rune {
					if strings.ContainsRune("itluIFT", r) {
						return -1
					}
					return r
				}, s)
				if s[0] == '+' {
					kept = "+"
				}
				if kept != s {
					rw.changed = true
					if len(kept) < 2 {
						continue
					}
					a.Value = lit(kept)
				}
			}
		}
		keep = append(keep, a)
	}
	n.Args = keep
}

func lit(s string) *syntax.Word { return &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{Value: s}}} }

func call(words ...*syntax.Word) *syntax.Stmt {
	return &syntax.Stmt{Cmd: &syntax.CallExpr{Args: words}}
}

func varWord(name string) *syntax.Word {
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.DblQuoted{Parts: []syntax.WordPart{
		&syntax.ParamExp{Param: &syntax.Lit{Value: name}}}}}}
}

// assign is NAME="$(CMD)".
func assign(name, cmd string) *syntax.Stmt {
	return &syntax.Stmt{Cmd: &syntax.CallExpr{Assigns: []*syntax.Assign{{Name: &syntax.Lit{Value: name},
		Value: &syntax.Word{Parts: []syntax.WordPart{&syntax.CmdSubst{Stmts: []*syntax.Stmt{call(lit(inner + cmd))}}}}}}}}
}

// stmts turns `A &` into a job that can be killed and waited for by its number:
//
//	TFBAKE_BG=$(tfbake:job); { TFBAKE_JOB=$TFBAKE_BG; ( A ) && tfbake:jobdone 0 || tfbake:jobdone $?; } &
func (rw *rewriter) stmts(list []*syntax.Stmt) []*syntax.Stmt {
	if !slices.ContainsFunc(list, func(s *syntax.Stmt) bool { return s.Background && !rw.done[s] }) {
		return list
	}
	rw.changed = true
	var out []*syntax.Stmt
	for _, s := range list {
		if !s.Background || rw.done[s] {
			out = append(out, s)
			continue
		}
		work := *s
		work.Background, work.Semicolon = false, syntax.Pos{}
		status := &syntax.Word{Parts: []syntax.WordPart{&syntax.ParamExp{Short: true, Param: &syntax.Lit{Value: "?"}}}}
		finish := &syntax.Stmt{Cmd: &syntax.BinaryCmd{Op: syntax.OrStmt,
			X: &syntax.Stmt{Cmd: &syntax.BinaryCmd{Op: syntax.AndStmt,
				X: &syntax.Stmt{Cmd: &syntax.Subshell{Stmts: []*syntax.Stmt{&work}}},
				Y: call(lit(inner+"jobdone"), lit("0"))}},
			Y: call(lit(inner+"jobdone"), status)}}
		mark := &syntax.Stmt{Cmd: &syntax.CallExpr{Assigns: []*syntax.Assign{{Name: &syntax.Lit{Value: varJob}, Value: varWord(varBG)}}}}
		job := &syntax.Stmt{Background: true, Cmd: &syntax.Block{Stmts: []*syntax.Stmt{mark, finish}}}
		rw.done[job] = true
		out = append(out, assign(varBG, "job"), job)
	}
	return out
}

// redirects maps what the interpreter does not know: descriptors above 2, >|, <>, >&file.
func (rw *rewriter) redirects(s *syntax.Stmt) {
	var keep []*syntax.Redirect
	var before []*syntax.Stmt
	for _, r := range s.Redirs {
		if r.Hdoc != nil {
			rw.quoted[r.Hdoc] = true
		}
		switch r.Op {
		case syntax.RdrClob:
			r.Op, rw.changed = syntax.RdrOut, true
		case syntax.RdrInOut:
			r.Op, rw.changed = syntax.RdrIn, true
		}
		target := ""
		if r.Word != nil {
			target = r.Word.Lit()
		}
		if r.N != nil && len(r.N.Value) > 0 && r.N.Value[0] >= '0' && r.N.Value[0] <= '9' {
			if n, err := strconv.Atoi(r.N.Value); err == nil && n > 2 {
				rw.changed = true
				kind := map[syntax.RedirOperator]string{syntax.RdrIn: "read", syntax.RdrOut: "write", syntax.AppOut: "append",
					syntax.DplOut: "dup", syntax.DplIn: "dup"}[r.Op]
				if kind == "" {
					rw.err = fmt.Errorf("%s: redirection of descriptor %d is not supported by the simulated shell", r.Pos(), n)
					return
				}
				before = append(before, call(lit(inner+"fd"), lit(r.N.Value), lit(kind), r.Word))
				continue
			}
		}
		if n, err := strconv.Atoi(target); err == nil && (r.Op == syntax.DplOut || r.Op == syntax.DplIn) {
			switch {
			case n > 2 && r.Op == syntax.DplOut:
				r.Op, r.Word, rw.changed = syntax.RdrOut, lit("/dev/fd/"+target), true
			case n > 2 || r.Op == syntax.DplIn && n > 0:
				r.Op, r.Word, rw.changed = syntax.RdrIn, lit("/dev/fd/"+target), true
			case r.Op == syntax.DplIn:
				rw.changed = true
				continue // <&0
			}
		} else if r.Op == syntax.DplOut && target != "-" && r.N == nil && target != "" {
			r.Op, rw.changed = syntax.RdrAll, true
		}
		keep = append(keep, r)
	}
	s.Redirs = keep
	if len(before) == 0 {
		return
	}
	if c, ok := s.Cmd.(*syntax.CallExpr); ok && len(c.Args) == 1 && c.Args[0].Lit() == "exec" && len(keep) == 0 || s.Cmd == nil && len(keep) == 0 {
		s.Cmd = &syntax.Block{Stmts: before}
		return
	}
	work := *s
	work.Negated, work.Background, work.Semicolon = false, false, syntax.Pos{}
	rw.done[&work] = true
	s.Redirs = nil
	s.Cmd = &syntax.Block{Stmts: append(before, &work)}
}

func (rw *rewriter) word(w *syntax.Word) {
	if len(w.Parts) > 0 && !rw.quoted[w] {
		for i, p := range w.Parts {
			if l, ok := p.(*syntax.Lit); ok {
				rw.tilde(l, i == 0)
			}
		}
	}
	rw.parts(w.Parts)
}

// tilde resolves ~user with the guest's accounts and disarms every other one: the interpreter would ask the host.
func (rw *rewriter) tilde(l *syntax.Lit, first bool) {
	s := l.Value
	if strings.IndexByte(s, '~') < 0 {
		return
	}
	if first && len(s) > 1 && s[0] == '~' && s[1] != '/' {
		name, rest, _ := strings.Cut(s[1:], "/")
		if home, ok := rw.homes(name); ok {
			if len(name)+1 < len(s) {
				rest = "/" + rest
			}
			s = home + rest
		}
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			b.WriteString(s[i : i+2])
			i++
			continue
		}
		if s[i] == '~' && i+1 < len(s) && s[i+1] != '/' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	if b.String() != l.Value {
		l.Value, rw.changed = b.String(), true
	}
}

// parts replaces process substitutions by pipes inside the guest:
//
//	<(A) becomes "$(P=$(tfbake:pipe); tfbake:echo "$P"; { ( A ) || :; tfbake:pipedone "$P"; } >"$P" &)"
func (rw *rewriter) parts(parts []syntax.WordPart) {
	for i, p := range parts {
		ps, ok := p.(*syntax.ProcSubst)
		if !ok {
			continue
		}
		rw.changed = true
		const v = "TFBAKE_PIPE"
		work := &syntax.Stmt{Cmd: &syntax.Subshell{Stmts: ps.Stmts}}
		if len(ps.Stmts) == 0 {
			work = call(lit(":"))
		}
		safe := &syntax.Stmt{Cmd: &syntax.BinaryCmd{Op: syntax.OrStmt, X: work, Y: call(lit(":"))}}
		block := &syntax.Stmt{Background: true, Cmd: &syntax.Block{Stmts: []*syntax.Stmt{safe, call(lit(inner+"pipedone"), varWord(v))}}}
		far := varWord(v) // the job's end of the pipe
		far.Parts = append(far.Parts, &syntax.Lit{Value: farEnd})
		direction := "pipe-in"
		if ps.Op == syntax.CmdIn {
			block.Redirs = []*syntax.Redirect{{Op: syntax.RdrOut, Word: far}}
		} else {
			direction = "pipe-out"
			block.Redirs = []*syntax.Redirect{{Op: syntax.RdrIn, Word: far}, {Op: syntax.RdrOut, Word: lit("/dev/fd/shell-stdout")}}
		}
		rw.done[block] = true
		parts[i] = &syntax.DblQuoted{Parts: []syntax.WordPart{&syntax.CmdSubst{Stmts: []*syntax.Stmt{
			assign(v, direction), call(lit(inner+"echo"), varWord(v)), block}}}}
	}
}
