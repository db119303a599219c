//! Where the socket files of one user are.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::geteuid;

/// A directory that nobody but the user of this process can look into, opened and looked at.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    handle: OwnedFd,
}

/// Held while a socket file is made or removed, by all who do so here.
#[derive(Debug)]
pub(crate) struct Lock {
    _handle: OwnedFd,
}

impl Directory {
    /// The one of this user, which is made where there is none.
    pub(crate) fn create() -> io::Result<Self> {
        let path = place()?;
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Self::at(path),
        }
    }

    /// The one of this user, if there is one.
    pub(crate) fn open() -> io::Result<Self> {
        Self::at(place()?)
    }

    /// The path of a socket file in it.
    pub(crate) fn socket(&self, name: &str) -> io::Result<PathBuf> {
        // That of a local socket's address.
        const LONGEST: usize = 107;
        let path = self.path.join(format!("{name}.socket"));
        if path.as_os_str().len() > LONGEST {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "{} is longer than a socket's path may be: set XDG_RUNTIME_DIR to a shorter one",
                    path.display()
                ),
            ));
        }
        Ok(path)
    }

    /// Waits for whoever makes or removes a socket file; released when it is dropped, or with the process.
    pub(crate) fn lock(&self) -> io::Result<Lock> {
        // Opened anew: a lock belongs to what was opened, and not to the process.
        let handle = open(&self.path, DIRECTORY, Mode::empty())?;
        if identity(&handle)? != identity(&self.handle)? {
            return Err(refused(&self.path));
        }
        retry_on_intr(|| flock(&handle, FlockOperation::LockExclusive))?;
        Ok(Lock { _handle: handle })
    }

    fn at(path: PathBuf) -> io::Result<Self> {
        let handle = match open(&path, DIRECTORY, Mode::empty()) {
            // A file or a link that somebody has put there.
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(refused(&path)),
            handle => handle?,
        };
        let about = fstat(&handle)?;
        if about.st_uid == geteuid().as_raw() && about.st_mode & 0o077 == 0 {
            Ok(Self { path, handle })
        } else {
            Err(refused(&path))
        }
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn identity(file: &impl AsFd) -> io::Result<(u64, u64)> {
    let about = fstat(file)?;
    Ok((about.st_dev, about.st_ino))
}

fn refused(path: &Path) -> io::Error {
    let user = geteuid().as_raw();
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "{} is not a directory of mode 0700 that user {user} owns: remove it, or set XDG_RUNTIME_DIR to one that is",
            path.display()
        ),
    )
}

fn place() -> io::Result<PathBuf> {
    place_of(env::var_os("XDG_RUNTIME_DIR"), env::temp_dir())
}

/// Below the runtime directory, if it is one; otherwise a directory for this user where temporary files are.
fn place_of(runtime: Option<OsString>, temporary: PathBuf) -> io::Result<PathBuf> {
    let user = geteuid().as_raw();
    let is_ours = |path: &PathBuf| {
        // Another user's may be left in the environment of who has become this user.
        let about = path.is_absolute().then(|| fs::metadata(path));
        about
            .and_then(Result::ok)
            .is_some_and(|about| about.is_dir() && about.uid() == user && about.mode() & 0o077 == 0)
    };
    if let Some(runtime) = runtime.map(PathBuf::from).filter(is_ours) {
        return Ok(runtime.join("procession"));
    }
    // Whoever may rename what is in there could put a directory of their own in the place of ours.
    let about = fs::metadata(&temporary)?;
    let is_safe = [0, user].contains(&about.uid()) && (about.mode() & 0o022 == 0 || about.mode() & 0o1000 != 0);
    if is_safe { Ok(temporary.join(format!("procession-{user}"))) } else { Err(refused(&temporary)) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::process;

    use rustix::process::geteuid;

    use super::{Directory, place_of};

    /// A directory that is removed in the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, mode: u32) -> Self {
            let path = std::env::temp_dir().join(format!("leaf-directory-{name}-{}", process::id()));
            fs::create_dir(&path).expect("there is none yet");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_runtime_directory_that_others_may_enter_is_not_used() {
        for (mode, used) in [(0o700, true), (0o701, false), (0o770, false), (0o1777, false)] {
            let runtime = Scratch::new("runtime", mode);
            let temporary = Scratch::new("temporary", 0o1777);
            let place = place_of(Some(runtime.0.clone().into()), temporary.0.clone()).expect("one of them will do");
            assert_eq!(place.parent(), Some(if used { &*runtime.0 } else { &*temporary.0 }), "{mode:o}");
        }
        let temporary = Scratch::new("relative", 0o700);
        for runtime in ["", "relative", "/nowhere/to/be/found"] {
            let place = place_of(Some(runtime.into()), temporary.0.clone()).expect("the other one will do");
            assert_eq!(place, temporary.0.join(format!("procession-{}", geteuid().as_raw())));
        }
    }

    #[test]
    fn a_temporary_directory_in_which_others_may_rename_is_refused() {
        for (mode, used) in [(0o700, true), (0o755, true), (0o1777, true), (0o777, false), (0o770, false)] {
            let temporary = Scratch::new("renaming", mode);
            let place = place_of(None, temporary.0.clone());
            assert_eq!(place.is_ok(), used, "{mode:o}");
        }
    }

    #[test]
    fn what_is_not_private_is_refused_with_its_mend() {
        for mode in [0o701, 0o710, 0o755, 0o777] {
            let open = Scratch::new("open", mode);
            let refused = Directory::at(open.0.clone()).expect_err("others may enter").to_string();
            assert!(refused.contains("0700") && refused.contains(&*open.0.to_string_lossy()), "{refused}");
        }
        let private = Scratch::new("private", 0o700);
        Directory::at(private.0.clone()).expect("it is ours alone");
        let (link, file) = (private.0.join("link"), private.0.join("file"));
        symlink(&private.0, &link).expect("it is ours");
        fs::write(&file, "").expect("it is ours");
        for other in [link, file] {
            let refused = Directory::at(other).expect_err("no directory");
            assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied, "{refused}");
        }
    }
}
