package localcloud

import (
	"net/url"
	"reflect"
	"strings"
)

// An action is one call of the API. The table of all of them is filled by the handlers' files (actions_*.go) through
// handle, so that a handler's parameters, its code and its registration stand together.
type action struct {
	service, name string
	mutating      bool
	params        reflect.Type // struct of the parameters
	run           func(*request, url.Values) (reply, *apiError)
}

// actions by "service/name".
var actions = map[string]action{}

// request is one call on its way through a handler. The cloud's lock is held.
type request struct {
	*Cloud
	service  string
	action   string
	platform string
	region   string // VPC: region code of the call
	touched  []thing
}

// touch notes an object that the call creates or changes, for faults on it.
func (r *request) touch(t thing) { r.touched = append(r.touched, t) }

// handle registers an action. P is the struct of its parameters, see decodeParams.
func handle[P any](service, name string, fn func(*request, *P) (reply, *apiError)) {
	key := service + "/" + name
	if _, ok := actions[key]; ok {
		panic("localcloud: action " + key + " registered twice")
	}
	actions[key] = action{service: service, name: name, mutating: !strings.HasPrefix(name, "get"), params: reflect.TypeFor[P](),
		run: func(r *request, v url.Values) (reply, *apiError) {
			p := new(P)
			if err := decodeParams(v, p); err != nil {
				return reply{}, err
			}
			// Classic takes a page number alone: the official provider 3.3.2 asks so for its groups.
			if service != "server" && v.Get("pageNo") != "" && v.Get("pageSize") == "" {
				return reply{}, errMissing("pageSize")
			}
			return fn(r, p)
		}}
}

// paging is embedded in the parameters of list calls.
type paging struct {
	PageNo       *int64 `p:"pageNo,range=0-2147483647"`
	PageSize     *int64 `p:"pageSize,range=0-2147483647"`
	SortedBy     string `p:"sortedBy"`
	SortingOrder string `p:"sortingOrder"`
}

// page answers the part of the rows that was asked for; totalRows counts all. Without paging parameters all are
// answered; pages 0 and 1 are both the first.
func page[T any](name string, rows []T, p paging) (reply, *apiError) {
	total := len(rows)
	if o := strings.ToUpper(p.SortingOrder); o == "DESC" || o == "DESCENDING" {
		reverse(rows)
	}
	if p.PageSize != nil && *p.PageSize > 0 {
		no := int64(1)
		if p.PageNo != nil && *p.PageNo > 1 {
			no = *p.PageNo
		}
		from := min((no-1)*(*p.PageSize), int64(total))
		rows = rows[from:min(from+*p.PageSize, int64(total))]
	}
	if rows == nil {
		rows = []T{}
	}
	return reply{list: name, rows: rows, total: total}, nil
}

func reverse[T any](s []T) {
	for i, j := 0, len(s)-1; i < j; i, j = i+1, j-1 {
		s[i], s[j] = s[j], s[i]
	}
}

// wanted tells whether a value passes a filter; an empty filter lets everything pass.
func wanted(filter, v string) bool { return filter == "" || filter == v }

// wantedIn is wanted for a list of accepted values.
func wantedIn(filter []string, v string) bool {
	if len(filter) == 0 {
		return true
	}
	for _, f := range filter {
		if f == v {
			return true
		}
	}
	return false
}

func truth(b *bool) bool { return b != nil && *b }

func number(n *int64, otherwise int64) int64 {
	if n == nil {
		return otherwise
	}
	return *n
}

// serviceOf maps the first part of a path to the service's platform.
var serviceOf = map[string]string{"server": classic, "vserver": vpc, "vpc": vpc}
