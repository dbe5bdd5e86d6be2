// Package mutants checks the tests: it breaks one rule of the product at a time and wants the tests of that rule's package to fail.
// A rule that can be broken while its tests stay green is a rule that the next change may break unseen.
//
//	rules/*.txt ─Load→ Mutants ─Apply→ one changed file in a temporary folder
//	                                   └─ go test -overlay: the package with that file in place of its own ─→ output ─→ Outcome
//
// No file of the repository is touched. The command is internal/mutants/mutate, which `make mutants` runs; internal/repotest sees to
// it that each change still fits its file. Runner.Run owns the goroutines that run tests, and waits for them.
package mutants
