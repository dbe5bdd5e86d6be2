package dashboard

import (
	"net/http"
	"net/http/pprof"
)

// profiles serves the runtime's profiles under /debug/pprof/, for `go tool pprof`. They tell what is in memory, so
// whoever switches them on keeps the address to loopback.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
}
