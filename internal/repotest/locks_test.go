package repotest

import (
	"path/filepath"
	"regexp"
	"testing"
)

// Session.unlock commits what was written under the lock. A bare Unlock compiles, and would leave that behind.
func TestSessionIsLockedInOnePlace(t *testing.T) {
	const owner = "session/lock.go"
	call := regexp.MustCompile(`\.mutex\.\w+\(`)
	if !call.MatchString(read(t, owner)) {
		t.Fatalf("%s has no %s: what does this test look for?", owner, call)
	}
	files, err := filepath.Glob("../../session/*.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("got %d files of package session, error %v", len(files), err)
	}
	for _, file := range files {
		name := "session/" + filepath.Base(file)
		if found := call.FindString(read(t, name)); name != owner && found != "" {
			t.Errorf("%s calls Session%s): call lock and unlock, which commits", name, found)
		}
	}
}
