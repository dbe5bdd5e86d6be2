package dashboard

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	"mangrove/internal/metrics"
)

const (
	plainText = "text/plain; charset=utf-8"
	htmlText  = "text/html; charset=utf-8"
	promText  = "text/plain; version=0.0.4; charset=utf-8"
	jsonText  = "application/json"
)

// routes answer GET and HEAD; ServeMux answers 404 and 405 for the rest.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /api/v1/status", s.status)
	mux.HandleFunc("GET /{$}", s.page)
	if s.cfg.Profile {
		profiles(mux)
	}
	return mux
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, http.StatusOK, plainText, []byte("ok\n"))
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := s.cfg.Ready(); err != nil {
		s.answer(w, http.StatusServiceUnavailable, plainText, []byte("not ready: "+err.Error()+"\n"))
		return
	}
	text := "ready\n"
	if s.cfg.Remark != nil {
		if remark := s.cfg.Remark(); remark != "" {
			text += remark + "\n"
		}
	}
	s.answer(w, http.StatusOK, plainText, []byte(text))
}

func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	s.cfg.Metrics.Write(&b)
	metrics.WriteProcess(&b)
	s.answer(w, http.StatusOK, promText, b.Bytes())
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	b, err := json.MarshalIndent(s.cfg.Status(), "", "  ")
	if err != nil {
		s.cfg.Log.Error("encode status", "err", err)
		http.Error(w, "encode status: "+err.Error(), http.StatusInternalServerError)
		return
	}
	s.answer(w, http.StatusOK, jsonText, append(b, '\n'))
}

func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, http.StatusOK, htmlText, page(s.cfg.Status()))
}

// answer writes a whole response. Nothing is cached, and a browser may load nothing from elsewhere.
func (s *Server) answer(w http.ResponseWriter, code int, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.WriteHeader(code)
	if _, err := io.Copy(w, bytes.NewReader(body)); err != nil {
		s.cfg.Log.Debug("answer http request", "err", err) // the asker has gone
	}
}
