package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// server is a PostgreSQL server of this test binary's own, reached through a
// socket in its directory:
//
//	TMP/gathering-pg-UID/15.14/          what initdb made, once, to be copied
//	TMP/gathering-pg-UID/15.14.lock      held while it is made
//	TMP/gathering-pg-UID/run-123/        one server: data, socket, log
//	TMP/gathering-pg-UID/run-123.lock    held while the test binary lives
//
// The server ends with the binary, even with one that is killed: the kernel
// tells it. What a killed one left in its directory the next one removes.
type server struct {
	dir    string
	lock   *os.File
	ended  chan struct{} // closed when the process is gone
	signal func(os.Signal) error
}

var (
	startServer = sync.OnceValues(newServer)
	running     struct {
		sync.Mutex
		server *server
	}
)

func theServer() (*server, error) {
	s, err := startServer()
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL for the tests (make deps installs it, TEST_DATABASE_URL replaces it): %w", err)
	}
	return s, nil
}

func stopServer() {
	running.Lock()
	defer running.Unlock()
	if running.server != nil {
		running.server.stop()
	}
}

func newServer() (*server, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	account, err := unprivileged()
	if err != nil {
		return nil, err
	}
	base, err := account.baseDir()
	if err != nil {
		return nil, err
	}
	sweep(base)
	template, err := account.template(base, bin)
	if err != nil {
		return nil, err
	}
	lock, err := lockNew(base)
	if err != nil {
		return nil, err
	}
	s := &server{dir: strings.TrimSuffix(lock.Name(), ".lock"), lock: lock, ended: make(chan struct{})}
	if err := s.start(account, bin, template); err != nil {
		s.remove()
		return nil, err
	}
	running.Lock()
	defer running.Unlock()
	running.server = s
	return s, nil
}

// findBinaries is the directory of initdb and postgres: that of the PATH or of
// pg_config, else the newest where Debian puts them.
func findBinaries() (string, error) {
	var candidates []string
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
			candidates = append(candidates, filepath.Dir(initdb))
		}
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		candidates = append(candidates, strings.TrimSpace(string(out)))
	}
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(debian, func(a, b string) int { return debianVersion(b) - debianVersion(a) })
	for _, bin := range append(candidates, debian...) {
		if isFile(filepath.Join(bin, "initdb")) && isFile(filepath.Join(bin, "postgres")) {
			return bin, nil
		}
	}
	return "", errors.New("no initdb and postgres found in PATH, by pg_config or in /usr/lib/postgresql")
}

func debianVersion(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// account is whom the server runs as: this user, or another when this one is
// root, which PostgreSQL refuses to run as.
type account struct {
	uid, gid   int
	credential *syscall.Credential // nil: this user
}

func unprivileged() (account, error) {
	if os.Getuid() != 0 {
		return account{uid: os.Getuid(), gid: os.Getgid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 31)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 31)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return account{}, fmt.Errorf("read the IDs of user %s: %w", name, err)
		}
		return account{int(uid), int(gid), &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return account{}, errors.New("root may not run PostgreSQL, and there is no user postgres or nobody")
}

// baseDir makes the directory of all test servers of this user. A socket's
// path may have 107 bytes, so a long TMPDIR is passed over.
func (a account) baseDir() (string, error) {
	tmp := os.TempDir()
	if len(tmp) > 40 {
		tmp = "/tmp"
	}
	base := filepath.Join(tmp, "gathering-pg-"+strconv.Itoa(a.uid))
	if err := os.Mkdir(base, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(base)
	if err != nil {
		return "", err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(owner.Uid) != a.uid && int(owner.Uid) != os.Getuid() {
		return "", fmt.Errorf("%s is not a directory of this user", base)
	}
	return base, os.Chown(base, a.uid, a.gid)
}

// sweep removes what test binaries that were killed left behind.
func sweep(base string) {
	locks, _ := filepath.Glob(filepath.Join(base, "run-*.lock"))
	for _, path := range locks {
		lock, err := tryLockFile(path)
		if err != nil {
			continue
		}
		_ = os.RemoveAll(strings.TrimSuffix(path, ".lock"))
		_ = os.Remove(path)
		_ = lock.Close()
	}
}

// template returns the directory that initdb made for these binaries, which it
// does the first time and takes a second or two.
func (a account) template(base, bin string) (string, error) {
	version, err := exec.Command(filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask postgres for its version: %w", err)
	}
	words := strings.Fields(string(version))
	if len(words) < 3 {
		return "", fmt.Errorf("postgres --version says %q", version)
	}
	dir := filepath.Join(base, words[2])
	lock, err := lockFile(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	unfinished := dir + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	if err := a.run(filepath.Join(bin, "initdb"), "--pgdata="+unfinished, "--username=gathering", "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--wal-segsize=4"); err != nil {
		return "", err
	}
	return dir, os.Rename(unfinished, dir)
}

// run runs a command as the account.
func (a account) run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w\n%s", filepath.Base(name), err, bytes.TrimSpace(out))
	}
	return nil
}

func (s *server) url() string {
	query := url.Values{"host": {s.dir}, "sslmode": {"disable"}}
	return "postgres://gathering@/postgres?" + query.Encode()
}

func (s *server) start(a account, bin, template string) error {
	if err := errors.Join(os.Mkdir(s.dir, 0o700), os.Chown(s.dir, a.uid, a.gid)); err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	if err := a.run("cp", "-a", template, data); err != nil {
		return err
	}
	if err := configure(filepath.Join(data, "postgresql.conf")); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", s.dir)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential, Setpgid: true}
	endWithParent(cmd.SysProcAttr)
	if err := s.spawn(cmd); err != nil {
		return fmt.Errorf("run postgres: %w", err)
	}
	return s.waitReady()
}

// configure sets what tests want: many connections, and nothing written that
// would have to outlive the machine. It goes into the file because a benchmark
// cannot change back what the command line says.
func configure(path string) error {
	conf, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString(strings.Join([]string{
		"listen_addresses = ''", "max_connections = 200", "shared_buffers = 64MB", "max_wal_size = 1GB",
		"fsync = off", "full_page_writes = off", "autovacuum = off", "log_min_messages = warning", "",
	}, "\n"))
	return errors.Join(err, conf.Close())
}

// spawn starts the server from a thread that lives as long as it does: the
// kernel takes the end of that thread for the end of the parent.
func (s *server) spawn(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(s.ended)
		}
	}()
	err := <-started
	if err == nil {
		s.signal = cmd.Process.Signal
	}
	return err
}

// waitReady waits until the server answers.
func (s *server) waitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.url())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ticker.C:
		case <-s.ended:
			return fmt.Errorf("postgres ended at once:\n%s", s.logTail())
		case <-ctx.Done():
			s.stop()
			return fmt.Errorf("postgres does not answer: %w\n%s", err, s.logTail())
		}
	}
}

func (s *server) logTail() []byte {
	log, err := os.Open(filepath.Join(s.dir, "log"))
	if err != nil {
		return nil
	}
	defer log.Close()
	text, _ := io.ReadAll(io.LimitReader(log, 4<<10))
	return bytes.TrimSpace(text)
}

// stop ends the server at once: nothing in it is worth keeping.
func (s *server) stop() {
	_ = s.signal(syscall.SIGQUIT)
	<-s.ended
	s.remove()
}

func (s *server) remove() {
	_ = os.RemoveAll(s.dir)
	_ = os.Remove(s.dir + ".lock")
	_ = s.lock.Close()
}

// lockNew makes and locks run-123.lock in base. It comes before the directory of
// that name, so that who sweeps up finds either the lock held or nothing.
func lockNew(base string) (*os.File, error) {
	for {
		made, err := os.CreateTemp(base, "run-*.lock")
		if err != nil {
			return nil, err
		}
		_ = made.Close()
		lock, err := lockFile(made.Name())
		if err != nil {
			return nil, err
		}
		held, heldErr := lock.Stat()
		there, thereErr := os.Stat(made.Name())
		if heldErr == nil && thereErr == nil && os.SameFile(held, there) {
			return lock, nil
		}
		_ = lock.Close() // swept up before it was locked
	}
}

func lockFile(path string) (*os.File, error) {
	return openLocked(path, syscall.LOCK_EX)
}

func tryLockFile(path string) (*os.File, error) {
	return openLocked(path, syscall.LOCK_EX|syscall.LOCK_NB)
}

func openLocked(path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), how); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}
