package journal

import (
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// intake says whether the journal takes anything, and keeps its queues open or
// closed accordingly.
type intake struct {
	apply func(error) // opens the queues with nil, or closes them

	mu    sync.Mutex
	ended bool
	fault error // why the storage is being reopened
	full  error // an ErrDiskFull
}

// end closes the intake for good.
func (i *intake) end() { i.change(func() { i.ended = true }) }

// setFault closes the intake while the storage is broken; nil: it works.
func (i *intake) setFault(err error) { i.change(func() { i.fault = err }) }

// setFull closes the intake while the disk is full; nil: it has room.
func (i *intake) setFull(err error) { i.change(func() { i.full = err }) }

func (i *intake) change(set func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	set()
	i.apply(i.reason())
}

// closed returns why nothing is taken; nil: the intake is open.
func (i *intake) closed() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.reason()
}

func (i *intake) reason() error {
	switch {
	case i.ended:
		return ErrClosed
	case i.full != nil:
		return i.full
	case i.fault != nil:
		return faultError(i.fault)
	}
	return nil
}

// faultError is what an Append is told of a storage error. A quota is a full
// disk, too, which its free space does not show; the server passes on no more
// than the text.
func faultError(err error) error {
	text := err.Error()
	if strings.Contains(text, unix.ENOSPC.Error()) || strings.Contains(text, unix.EDQUOT.Error()) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	return fmt.Errorf("%w: %w", ErrClosed, err)
}

func (i *intake) isFull() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.full != nil
}
