package mutants

import "testing"

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		output string
		ok     bool
		want   Outcome
	}{
		"green":                  {"ok  \tmangrove/x\t0.1s\n", true, Outcome{Kind: Survived}},
		"a test":                 {"--- FAIL: TestA (0.00s)\n    a_test.go:9: got 1\nFAIL\n", false, Outcome{Killed, "TestA"}},
		"a subtest":              {"--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/b (0.00s)\nFAIL\n", false, Outcome{Killed, "TestA"}},
		"a panic":                {"panic: BUG: x\n\ngoroutine 1 [running]:\n", false, Outcome{Killed, "panic: BUG: x"}},
		"a panic in it":          {"--- FAIL: TestA (0.00s)\npanic: x [recovered]\n", false, Outcome{Killed, "TestA"}},
		"a hanging test":         {"panic: test timed out after 1s\n\trunning tests:\n\t\tTestA (1s)\n", false, Outcome{Killed, "TestA, which hangs"}},
		"an exit":                {"exit status 3\nFAIL\tmangrove/x\t0.1s\n", false, Outcome{Killed, "tests that end early"}},
		"no compilation":         {"# mangrove/x\nx/y.go:3:4: undefined: z\nFAIL\tmangrove/x [build failed]\n", false, Outcome{Broken, "x/y.go:3:4: undefined: z"}},
		"a test that is missing": {"ok  \tmangrove/x\t0.1s [no tests to run]\n", true, Outcome{Kind: Untested}},
		"no tests at all":        {"?   \tmangrove/x\t[no test files]\n", true, Outcome{Kind: Untested}},
	} {
		if got := judge(c.output, c.ok); got != c.want {
			t.Errorf("%s: got %v %q, want %v %q", name, got.Kind, got.Why, c.want.Kind, c.want.Why)
		}
	}
}
