//! Reads files up to a size limit, and replaces files atomically, with the same group and permissions.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// The maximum size of a file or of standard input, in bytes. The limit also applies to devices and pipes.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Reads a file, or standard input for `-`. The error names the file.
pub fn read(file: &str) -> Result<Vec<u8>, String> {
    let read = if file == "-" { bounded(io::stdin().lock()) } else { File::open(file).and_then(bounded) };
    read.map_err(|error| format!("{file}: {error}"))
}

/// Reads the text of a file; `None` if the file does not exist.
pub fn read_if_present(path: &Path) -> Result<Option<String>, String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    match File::open(path) {
        Ok(file) => bounded(file).and_then(text).map(Some).map_err(failed),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Reads a source to its end, and fails if it is longer than [`MAX_BYTES`].
pub fn bounded(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => {
            Err(io::Error::new(ErrorKind::FileTooLarge, format!("longer than the maximum of {} MiB", MAX_BYTES >> 20)))
        }
        false => Ok(bytes),
    }
}

/// Decodes bytes as UTF-8.
pub fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "not UTF-8 text"))
}

/// Returns the target of a symbolic link, and any other path unchanged.
pub fn real(path: &Path) -> io::Result<PathBuf> {
    if path.is_symlink() { fs::canonicalize(path) } else { Ok(path.to_path_buf()) }
}

/// An exclusive lock on the folder of a file. A command keeps it while it reads, edits and replaces the file, so that it does not
/// undo a change of another command.
///
/// The file itself cannot be locked, because a rename replaces it. A separate lock file would stay in the folder after the
/// command.
pub struct FolderLock(#[expect(dead_code, reason = "the lock ends when the open folder is dropped")] Option<File>);

impl FolderLock {
    /// Waits until no other process has the lock. The result has no lock if the folder cannot be opened or its file system has no
    /// locks on folders. [`Staged::check_unchanged`] then detects most changes of other processes.
    pub fn wait(file: &Path) -> FolderLock {
        let lock = |folder: File| loop {
            match folder.lock() {
                Ok(()) => return Some(folder),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        };
        let file = real(file).unwrap_or_else(|_| file.to_path_buf());
        FolderLock(folder_of(&file).and_then(|folder| File::open(folder).ok()).and_then(lock))
    }
}

/// Returns the folder of a file; `.` for a bare file name.
fn folder_of(file: &Path) -> Option<&Path> {
    file.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}

/// The new text of a file, stored in a temporary file beside it until the change is committed or dropped.
///
/// Other processes read either the complete old text or the complete new text. If the file is a symbolic link, its target is
/// replaced.
pub struct Staged {
    file: PathBuf,
    beside: PathBuf,
}

impl Staged {
    /// Writes the new text to the temporary file. This file gets the group and the permissions of the old file, and also its
    /// owner if the user is allowed to change the owner.
    pub fn write(file: &Path, text: &str) -> io::Result<Staged> {
        let file = real(file)?;
        let old = match fs::metadata(&file) {
            Ok(old) if !old.is_file() => return Err(io::Error::other("not a regular file, so it is not replaced")),
            Ok(old) => Some(old),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut name = file.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.new", std::process::id()));
        let beside = file.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // Until the temporary file has the permissions of the old file, only its owner can read it.
        #[cfg(unix)]
        if old.is_some() {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        let mut new = options.open(&beside)?;
        let staged = Staged { file, beside };
        new.write_all(text.as_bytes())?;
        if let Some(old) = old {
            #[cfg(unix)]
            keep_owner(&new, &old)?;
            new.set_permissions(old.permissions())?;
        }
        new.sync_all()?;
        Ok(staged)
    }

    /// Writes the new text like [`Staged::write`]. If the file starts with a byte order mark, the new text starts with it too.
    pub fn write_with_mark(file: &Path, text: &str) -> io::Result<Staged> {
        let mut start = Vec::new();
        File::open(file)?.take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut start)?;
        match start == BYTE_ORDER_MARK.as_bytes() && !text.starts_with(BYTE_ORDER_MARK) {
            true => Staged::write(file, &format!("{BYTE_ORDER_MARK}{text}")),
            false => Staged::write(file, text),
        }
    }

    /// Fails if the file has changed since it was read. A byte order mark is ignored.
    pub fn check_unchanged(&self, before: &str) -> io::Result<()> {
        let now = File::open(&self.file).and_then(bounded)?;
        match now.strip_prefix(BYTE_ORDER_MARK.as_bytes()).unwrap_or(&now) == before.as_bytes() {
            true => Ok(()),
            false => Err(io::Error::other("another process changed the file after it was read; run the command again")),
        }
    }

    /// Replaces the old text with the new text, and syncs the directory.
    pub fn commit(&self) -> io::Result<()> {
        fs::rename(&self.beside, &self.file)?;
        // The sync makes the rename survive a crash. Errors are ignored, because some systems cannot sync a directory and the
        // rename is already done.
        #[cfg(unix)]
        let _ = folder_of(&self.file).map(|folder| File::open(folder).and_then(|folder| folder.sync_all()));
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a successful rename, the temporary file no longer exists. The error of this call is therefore ignored.
        let _ = fs::remove_file(&self.beside);
    }
}

/// Copies the owner if the user is allowed to change it. Fails if the group cannot be copied, because another group could gain
/// read access.
#[cfg(unix)]
fn keep_owner(new: &File, old: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let made = new.metadata()?;
    if made.uid() != old.uid() {
        // Only the superuser can change the owner. The error for another user is ignored, and the new file belongs to that
        // user.
        let _ = fchown(new, Some(old.uid()), None);
    }
    if made.gid() == old.gid() { Ok(()) } else { fchown(new, None, Some(old.gid())) }
}
