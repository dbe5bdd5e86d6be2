package control

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// Operator is what a node tells whoever operates it, and does for them. Answers are encoded as JSON. An error that is a
// *Refusal says what is wrong with the request, any other is a failure. Safe for concurrent use.
type Operator interface {
	Status() any
	Sessions(order, prefix string, limit int) (any, error) // the first ones in that order
	Session(id string) (any, error)
	RemoveSession(id string, kick bool) (lost any, err error)
	PurgeLink(name string) (lost any, err error)
	ForgetLink(name string) (lost any, err error)
}

// Refusal is an answer to a request that cannot be.
type Refusal struct {
	Code int // http.StatusBadRequest, StatusNotFound or StatusConflict
	Text string
}

// Error is the text, for people.
func (r *Refusal) Error() string { return r.Text }

// maxListed bounds how many sessions one answer has.
const maxListed = 10_000

func (s *Server) operatorRoutes(mux *http.ServeMux) {
	ask := func(pattern string, handle func(o Operator, r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, handle) })
	}
	ask("GET /v1/status", func(o Operator, _ *http.Request) (any, error) { return o.Status(), nil })
	ask("GET /v1/sessions", listSessions)
	ask("GET /v1/session", func(o Operator, r *http.Request) (any, error) { return o.Session(r.FormValue("id")) })
	ask("POST /v1/session/remove", func(o Operator, r *http.Request) (any, error) {
		return o.RemoveSession(r.FormValue("id"), r.FormValue("kick") == "true")
	})
	ask("POST /v1/link/purge", func(o Operator, r *http.Request) (any, error) { return o.PurgeLink(r.FormValue("name")) })
	ask("POST /v1/link/forget", func(o Operator, r *http.Request) (any, error) { return o.ForgetLink(r.FormValue("name")) })
}

func listSessions(o Operator, r *http.Request) (any, error) {
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil || limit < 1 || limit > maxListed {
		return nil, &Refusal{http.StatusBadRequest, "limit must be 1 to " + strconv.Itoa(maxListed)}
	}
	return o.Sessions(r.FormValue("order"), r.FormValue("prefix"), limit)
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, handle func(Operator, *http.Request) (any, error)) {
	if !s.enter() {
		http.Error(w, "the node is stopping", http.StatusServiceUnavailable)
		return
	}
	defer s.requests.Done()
	if s.cfg.Operator == nil {
		http.Error(w, "this node has no such commands", http.StatusNotImplemented)
		return
	}
	found, err := handle(s.cfg.Operator, r)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		http.Error(w, refusal.Text, refusal.Code)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(found); err != nil {
		s.cfg.Log.Debug("answer not told", "err", err)
	}
}

// enter counts a request in; false when the server closes.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.requests.Add(1)
	return true
}
