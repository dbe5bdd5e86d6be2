package dashboard

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestProfilesAreServedWhenAskedFor(t *testing.T) {
	for _, on := range []bool{false, true} {
		s := &Server{cfg: Config{Profile: on}}
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1"} {
			w := httptest.NewRecorder()
			s.routes().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			want := map[bool]int{false: http.StatusNotFound, true: http.StatusOK}[on]
			if w.Code != want {
				t.Errorf("%s with profiles %t: got %d, want %d", path, on, w.Code, want)
			}
		}
	}
}
