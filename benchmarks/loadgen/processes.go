package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

const (
	ticksPerSecond = 100 // sysconf(_SC_CLK_TCK) of Linux, on every architecture that Debian has
	ownName        = "generator"
)

// usage is what processes have used of the processor so far, and hold of the memory now.
type usage struct {
	ticks  int64
	memory int64 // resident, in bytes
}

// process is one line of proc(5).
type process struct {
	usage
	children []int
}

// measureProcesses adds up, by name, processes and all that they have started.
func measureProcesses(processes map[string][]int) (map[string]usage, error) {
	table, err := readTable()
	if err != nil {
		return nil, err
	}
	found := map[string]usage{ownName: table[os.Getpid()].usage}
	for name, pids := range processes {
		total := usage{}
		for _, pid := range pids {
			if table[pid] == nil {
				return nil, fmt.Errorf("a process of the %s has ended: %d", name, pid)
			}
			addTree(table, pid, &total)
		}
		found[name] = total
	}
	return found, nil
}

func addTree(table map[int]*process, pid int, total *usage) {
	total.ticks += table[pid].ticks
	total.memory += table[pid].memory
	for _, child := range table[pid].children {
		addTree(table, child, total)
	}
}

func readTable() (map[int]*process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	table, parents := map[int]*process{}, map[int]int{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended meanwhile
		}
		// The name, in parentheses, may hold anything.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
		number := func(index int) int64 {
			value, _ := strconv.ParseInt(fields[index], 10, 64)
			return value
		}
		// utime, stime, and cutime and cstime of children that have ended; rss.
		ticks := number(11) + number(12) + number(13) + number(14)
		table[pid] = &process{usage: usage{ticks, number(21) * int64(os.Getpagesize())}}
		parents[pid] = int(number(1))
	}
	for pid, parent := range parents {
		if table[parent] != nil {
			table[parent].children = append(table[parent].children, pid)
		}
	}
	return table, nil
}
