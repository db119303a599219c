//! Where the socket files are, and who is kept out.

#[cfg(target_os = "linux")]
mod harness;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::io::{ErrorKind, Read};
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};
    use std::process::{self, ExitCode};
    use std::thread;

    use procession_spawn_unix::{Connection, Listener};
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use crate::harness::{self, PATIENCE, block_on, command, tests};

    pub(crate) fn main() -> ExitCode {
        harness::main(
            tests![
                a_socket_file_is_where_nobody_else_looks,
                the_socket_file_goes_with_its_listener,
                another_file_in_the_place_is_left_alone,
                a_replaced_socket_file_is_left_alone,
                a_place_that_others_may_enter_is_refused,
                who_only_asks_whether_the_name_is_taken_is_not_accepted,
                more_than_can_wait_are_told_to_try_later,
                somebody_elses_process_is_refused_before_it_is_read,
                somebody_elses_listener_is_refused_before_it_is_told_anything,
            ],
            &[("bind", |args| {
                block_on(async {
                    match Listener::bind(&args[0]) {
                        Ok(_) => println!("bound"),
                        Err(error) => println!("{:?}: {error}", error.kind()),
                    }
                });
            })],
        )
    }

    /// A runtime directory of this test's own, in which its sockets are; removed with what is in it.
    struct Runtime(PathBuf);

    impl Runtime {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("leaf-named-{}", process::id()));
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            // SAFETY: this is the only thread of the test's process.
            unsafe { std::env::set_var("XDG_RUNTIME_DIR", &path) };
            Self(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("procession/test.socket")
        }
    }

    impl Drop for Runtime {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn a_socket_file_is_where_nobody_else_looks() {
        let runtime = Runtime::new();
        block_on(async {
            let _listener = Listener::bind("test").unwrap();
            assert!(fs::symlink_metadata(runtime.socket()).unwrap().file_type().is_socket());
            assert_eq!(mode(&runtime.0.join("procession")), 0o700);
        });
        // And never one that has no file.
        let abstract_ones = fs::read_to_string("/proc/self/net/unix").unwrap();
        assert!(!abstract_ones.lines().any(|line| line.contains("@procession")));
    }

    fn the_socket_file_goes_with_its_listener() {
        let runtime = Runtime::new();
        block_on(async {
            drop(Listener::bind("test").unwrap());
            assert!(!runtime.socket().exists());
            // What a dead one has left is replaced.
            drop(UnixListener::bind(runtime.socket()).unwrap());
            assert!(runtime.socket().exists());
            assert_eq!(Connection::connect("test").await.unwrap_err().kind(), ErrorKind::NotFound);
            let listener = Listener::bind("test").unwrap();
            let (ours, theirs) = tokio::join!(listener.accept(), Connection::connect("test"));
            assert_eq!(ours.unwrap().credentials(), theirs.unwrap().credentials());
        });
        assert!(!runtime.socket().exists());
    }

    fn another_file_in_the_place_is_left_alone() {
        let runtime = Runtime::new();
        block_on(async {
            drop(Listener::bind("test").unwrap());
            fs::write(runtime.socket(), "mine").unwrap();
            let refused = Listener::bind("test").unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::AlreadyExists, "{refused}");
            assert!(refused.to_string().contains("remove it"), "{refused}");
        });
        assert_eq!(fs::read(runtime.socket()).unwrap(), b"mine");
    }

    fn a_replaced_socket_file_is_left_alone() {
        let runtime = Runtime::new();
        block_on(async {
            let listener = Listener::bind("test").unwrap();
            fs::remove_file(runtime.socket()).unwrap();
            let other = Listener::bind("test").unwrap();
            drop(listener);
            let (ours, theirs) = tokio::join!(other.accept(), Connection::connect("test"));
            ours.unwrap();
            theirs.unwrap();
        });
    }

    /// What a program says that binds with this in its environment.
    fn said(runtime: &Path, temporary: &Path) -> String {
        let mut command = command("bind", &["test"]);
        let output = command.env("XDG_RUNTIME_DIR", runtime).env("TMPDIR", temporary).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn a_place_that_others_may_enter_is_refused() {
        let runtime = Runtime::new();
        let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(said(&runtime.0, &runtime.0), "bound\n");
        let place = runtime.0.join("procession");
        open(&place, 0o711);
        let refused = said(&runtime.0, &runtime.0);
        assert!(refused.starts_with("PermissionDenied") && refused.contains("mode 0700"), "{refused}");
        // Without a runtime directory of the user's own it is where temporary files are.
        open(&runtime.0, 0o755);
        assert_eq!(said(&runtime.0, &runtime.0), "bound\n");
        let fallback = runtime.0.join(format!("procession-{}", rustix::process::geteuid().as_raw()));
        assert_eq!(mode(&fallback), 0o700);
        open(&runtime.0, 0o777);
        let refused = said(&runtime.0, &runtime.0);
        assert!(refused.starts_with("PermissionDenied") && refused.contains("XDG_RUNTIME_DIR"), "{refused}");
    }

    fn who_only_asks_whether_the_name_is_taken_is_not_accepted() {
        let _runtime = Runtime::new();
        block_on(async {
            let listener = Listener::bind("test").unwrap();
            for _ in 0..3 {
                Listener::bind("test").unwrap_err();
            }
            let mut program = Connection::connect("test").await.unwrap();
            program.write_all(b"first").await.unwrap();
            let mut buf = [0; 8];
            assert_eq!(listener.accept().await.unwrap().read(&mut buf).await.unwrap(), 5);
        });
    }

    fn more_than_can_wait_are_told_to_try_later() {
        let runtime = Runtime::new();
        block_on(async {
            drop(Listener::bind("test").unwrap());
            let narrow = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
            bind(&narrow, &SocketAddrUnix::new(runtime.socket()).unwrap()).unwrap();
            listen(&narrow, 0).unwrap();
            let mut waiting = Vec::new();
            let refused = loop {
                match Connection::connect("test").await {
                    Ok(connection) => waiting.push(connection),
                    Err(error) => break error,
                }
            };
            assert_eq!(refused.kind(), ErrorKind::ResourceBusy, "{refused}");
            // And it is seen to live.
            assert_eq!(Listener::bind("test").unwrap_err().kind(), ErrorKind::AddrInUse);
        });
    }

    const SOMEBODY: u32 = 65_534;

    /// Runs something as another user who can open what root can, which only root can; tells whether it was done.
    fn as_somebody_else(act: impl FnOnce() + Send) -> bool {
        if !rustix::process::geteuid().is_root() {
            eprintln!("(only root can become somebody else)");
            return false;
        }
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                // SAFETY: bare calls, which change this thread alone and are what it ends with.
                unsafe {
                    assert_eq!(libc::syscall(libc::SYS_setresuid, -1, SOMEBODY, -1), 0);
                    libc::syscall(libc::SYS_setfsuid, 0);
                }
                act();
            });
            other.join().unwrap();
        });
        true
    }

    fn somebody_elses_process_is_refused_before_it_is_read() {
        let runtime = Runtime::new();
        block_on(async {
            let listener = Listener::bind("test").unwrap();
            let mut peer = None;
            if !as_somebody_else(|| peer = Some(UnixStream::connect(runtime.socket()).unwrap())) {
                return;
            }
            let refused = listener.accept().await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
            assert!(refused.to_string().contains(&SOMEBODY.to_string()), "{refused}");
            assert_eq!(peer.unwrap().read(&mut [0]).unwrap(), 0);
            // The next is let in.
            let (ours, theirs) = tokio::join!(listener.accept(), Connection::connect("test"));
            ours.unwrap();
            theirs.unwrap();
        });
    }

    fn somebody_elses_listener_is_refused_before_it_is_told_anything() {
        let runtime = Runtime::new();
        block_on(async {
            drop(Listener::bind("test").unwrap());
            let mut listener = None;
            if !as_somebody_else(|| listener = Some(UnixListener::bind(runtime.socket()).unwrap())) {
                return;
            }
            let refused = Connection::connect("test").await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
            let (mut peer, _) = listener.unwrap().accept().unwrap();
            peer.set_read_timeout(Some(PATIENCE)).unwrap();
            assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        });
    }
}
