package auth

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// users is one reading of a password file.
type users struct {
	byName map[string]*user
	nobody *hash  // stands in for users that do not exist, at the cost of one that does
	scram  *scram // of the first user that has one; nil = none has
	hashed bool   // nobody has the parameters of a user's hash
	stamp  stamp
}

// user is what the lines of one name say: at most one of each kind.
type user struct {
	hash  *hash                 // for user name and password; nil = not allowed
	scram *scram                // for SCRAM-SHA-256; nil = not allowed
	known atomic.Pointer[proof] // of the password that matched; nil = none yet
}

// stamp tells whether a file has changed.
type stamp struct {
	modified time.Time
	size     int64
}

// maxLine bounds a line of the file.
const maxLine = 4096

// readUsers reads a password file. Errors name file and line.
func readUsers(path string) (*users, os.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("read password file: %w", err)
	}
	defer f.Close() // read only: nothing can be lost
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("read password file: %w", err)
	}
	u, err := parseUsers(path, f)
	if err != nil {
		return nil, 0, err
	}
	u.stamp = stampOf(info)
	return u, info.Mode(), nil
}

func stampOf(info os.FileInfo) stamp { return stamp{info.ModTime(), info.Size()} }

func parseUsers(path string, r io.Reader) (*users, error) {
	u := &users{byName: map[string]*user{}, nobody: defaultNobody()}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	number := 0
	for lines.Scan() {
		number++
		if err := u.line(strings.TrimSpace(lines.Text())); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", path, number+1, err)
	}
	return u, nil
}

// line takes in one line.
func (u *users) line(s string) error {
	if s == "" || strings.HasPrefix(s, "#") {
		return nil
	}
	name, text, ok := strings.Cut(s, ":")
	if !ok || name == "" {
		return fmt.Errorf(`want "name:hash": %w`, errHash)
	}
	mine := u.byName[name]
	if mine == nil {
		mine = new(user)
	}
	if err := u.add(mine, text); err != nil {
		return fmt.Errorf("user %q%w", name, err)
	}
	u.byName[name] = mine
	return nil
}

// add adds what the line says behind the name.
func (u *users) add(mine *user, text string) (err error) {
	if isScram(text) {
		if mine.scram != nil {
			return errors.New(" is there already for " + ScramMethod)
		}
		if mine.scram, err = parseScram(text); err != nil {
			return fmt.Errorf(": %w", err)
		}
		if u.scram == nil {
			u.scram = mine.scram
		}
		return nil
	}
	if mine.hash != nil {
		return errors.New(" is there already")
	}
	h, err := parseHash(text)
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	if !u.hashed {
		u.hashed = true
		u.nobody = &hash{
			memory: h.memory, passes: h.passes, threads: h.threads, salt: h.salt, sum: make([]byte, len(h.sum)),
		}
	}
	mine.hash = h
	return nil
}

// defaultNobody is for a file without users.
func defaultNobody() *hash {
	return &hash{
		memory: hashMemory, passes: hashPasses, threads: hashThreads, salt: make([]byte, saltBytes), sum: make([]byte, sumBytes),
	}
}
