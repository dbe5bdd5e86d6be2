// Package matrix runs a fixed list of measurements against Mangrove and, side by side, against the
// other brokers that this machine has, and writes docs/benchmarks.md.
//
//	for each case, for each round, for each broker:
//	    start it afresh, on the first core → mangrove bench, on the second → stop it
//
// A case that restarts has its broker stopped and started again with what it holds, to see how long that takes
// and what it costs. Brokers take turns within a case, so what else the machine does meets all of them alike; ratios of
// one run say more than figures of two.
//
// Soak loads one edge for a time with everything that clients do, and says whether anything of it grew.
//
// It owns the processes it starts: each ends before Run returns, and with the thread that started it if that
// does not come to pass.
package matrix
