package node

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"mangrove/bridge"
	"mangrove/internal/control"
	"mangrove/internal/dashboard"
	"mangrove/internal/spell"
	"mangrove/mqtt"
	"mangrove/session"
)

// operator implements control.Operator: what the node tells whoever operates it, and does for them.
type operator struct{ n *Node }

// Status implements control.Operator.
func (o operator) Status() any { return o.n.Status() }

// running refuses what needs parts that are not there yet.
func (o operator) running() error {
	if o.n.running.Load() {
		return nil
	}
	return fmt.Errorf("the node is %s", *o.n.state.Load())
}

// Sessions implements control.Operator.
func (o operator) Sessions(order, prefix string, limit int) (any, error) {
	if err := o.running(); err != nil {
		return nil, err
	}
	by := session.Order(order)
	if by != session.ByBacklog && by != session.ByAge && by != session.ByName {
		return nil, &control.Refusal{Code: http.StatusBadRequest,
			Text: fmt.Sprintf("order is %q, allowed are %s, %s and %s", order, session.ByBacklog, session.ByAge, session.ByName)}
	}
	first, matching := o.n.sessions.List(by, prefix, limit)
	list := dashboard.Sessions{Sessions: []dashboard.Session{}, Matching: matching}
	for _, i := range first {
		list.Sessions = append(list.Sessions, sessionOf(i))
	}
	return list, nil
}

// Session implements control.Operator.
func (o operator) Session(id string) (any, error) {
	if err := o.running(); err != nil {
		return nil, err
	}
	i, ok := o.n.sessions.Info(id)
	if !ok {
		return nil, o.noSession(id)
	}
	return sessionOf(i), nil
}

// RemoveSession implements control.Operator.
func (o operator) RemoveSession(id string, kick bool) (any, error) {
	if err := o.running(); err != nil {
		return nil, err
	}
	was, err := o.n.sessions.Remove(id, kick)
	switch {
	case errors.Is(err, session.ErrNoSession):
		return nil, o.noSession(id)
	case errors.Is(err, session.ErrConnected):
		return nil, &control.Refusal{Code: http.StatusConflict, Text: fmt.Sprintf("%q is connected: with --kick it is disconnected first", id)}
	case err != nil:
		return nil, err
	}
	return dashboard.Lost{Messages: was.Queued, Bytes: was.QueuedBytes}, nil
}

func (o operator) noSession(id string) error {
	return missing("session", id, o.n.sessions.Find(func(other string) bool { return alike(id, other) }, mostHints))
}

// PurgeLink implements control.Operator.
func (o operator) PurgeLink(name string) (any, error) {
	if err := o.running(); err != nil {
		return nil, err
	}
	lost, err := o.n.Links.Purge(name)
	return o.lost(name, lost, err)
}

// ForgetLink implements control.Operator.
func (o operator) ForgetLink(name string) (any, error) {
	if err := o.running(); err != nil {
		return nil, err
	}
	lost, err := o.n.Links.Forget(name)
	return o.lost(name, lost, err)
}

// lost is the answer to what was asked about a link.
func (o operator) lost(name string, lost bridge.Lost, err error) (any, error) {
	conflict := func(format string, args ...any) error {
		return &control.Refusal{Code: http.StatusConflict, Text: fmt.Sprintf(format, args...)}
	}
	switch {
	case errors.Is(err, bridge.ErrNoLink):
		return nil, o.noLink(name)
	case errors.Is(err, bridge.ErrLinkUp):
		return nil, conflict("%q is linked: only what is away is forgotten; purge drops what waits for it", name)
	case errors.Is(err, bridge.ErrUplink):
		return nil, conflict("the uplink is part of the configuration (link.cores): purge drops what waits for it")
	case errors.Is(err, bridge.ErrMember):
		return nil, conflict("%q is a core of this pool, and would be met again at once: stop it for good first", name)
	case err != nil:
		return nil, err
	}
	return dashboard.Lost{Messages: lost.Messages, Bytes: int64(lost.Bytes)}, nil
}

func (o operator) noLink(name string) error {
	var near []string
	for _, l := range o.n.Links.Status() {
		other := l.Name
		if l.Scope == mqtt.ScopeUplink {
			other = scopes[l.Scope]
		}
		if len(near) < mostHints && alike(name, other) {
			near = append(near, other)
		}
	}
	return missing("link", name, near)
}

// mostHints is how many names a refusal suggests.
const mostHints = 3

// missing says that there is no such thing, and which name may be meant.
func missing(what, name string, near []string) error {
	text := fmt.Sprintf("no %s %q", what, name)
	for i, other := range near {
		if i == 0 {
			text += ": did you mean "
		} else {
			text += " or "
		}
		text += fmt.Sprintf("%q", other)
	}
	if len(near) > 0 {
		text += "?"
	}
	return &control.Refusal{Code: http.StatusNotFound, Text: text}
}

// alike reports whether a person may have meant other by name: another case, a part of it, or a letter or two.
func alike(name, other string) bool {
	a, b := strings.ToLower(name), strings.ToLower(other)
	switch {
	case a == b, len(a) >= 3 && strings.Contains(b, a), len(b) >= 3 && strings.Contains(a, b):
		return true
	case len(a) > 64 || len(b) > 64 || len(a)-len(b) > 2 || len(b)-len(a) > 2:
		return false
	}
	return spell.Edits(a, b) <= min(2, len(a)/3)
}

func sessionOf(i session.Info) dashboard.Session {
	s := dashboard.Session{
		Client: i.ClientID, Connected: i.Connected, AwaySeconds: i.Away.Seconds(), ExpirySeconds: i.Expiry.Seconds(), Subscriptions: i.Subscriptions,
		Queued: i.Queued, QueuedBytes: i.QueuedBytes, InFlight: i.InFlight, Oldest: i.Oldest.Seconds(),
		Dropped: i.Dropped, Refused: i.Refused, FullSince: i.FullSince,
	}
	if i.Expiry < 0 {
		s.ExpirySeconds = -1
	}
	return s
}
