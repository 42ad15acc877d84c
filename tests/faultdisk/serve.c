// SPDX-License-Identifier: BSD-3-Clause
#define FUSE_USE_VERSION 35
#include "tests/faultdisk/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "yoke/util.h"

#define SERVE_FOREVER_S	     86400.0
#define SERVE_REQUEST_BYTES  (1u << 20)
#define SERVE_BACKGROUND_MAX 4096 /* held ones must not keep others out */
#define SERVE_NO_REPLY	     "/dev/null"

struct serve_link {
	struct disk *disk;
	int nexus;
	struct fuse_session *session;
	struct fuse_buf buf;
	unsigned pending;
	bool mounted, gone;
};

struct request {
	struct disk_op op;
	struct serve_link *link;
	fuse_req_t req;
	size_t out_size;
};

static void link_free(struct serve_link *link)
{
	fuse_session_destroy(link->session);
	free(link->buf.mem);
	free(link);
}

/* ----- operations of the disk -------------------------------------------------------------------
 */

static void request_done(struct disk_op *op, long res)
{
	struct request *r = container_of(op, struct request, op);
	struct serve_link *link = r->link;

	if (res < 0) {
		fuse_reply_err(r->req, (int)-res);
	} else if (op->kind == DISK_READ) {
		fuse_reply_buf(r->req, (const char *)op->data, (size_t)res);
	} else if (op->kind == DISK_WRITE) {
		fuse_reply_write(r->req, (size_t)op->length_bytes);
	} else if (op->kind == DISK_IOCTL) {
		fuse_reply_ioctl(r->req, (int)res, op->argument, r->out_size);
	} else {
		fuse_reply_err(r->req, 0);
	}
	free(op->data);
	free(r);
	link->pending--;
	if (link->gone && !link->pending) {
		link_free(link);
	}
}

/* The root directory is inode 1, file i is inode i + 2. */
static int file_of(fuse_ino_t ino)
{
	return (int)ino - 2;
}

static struct request *request_new(
	fuse_req_t req, fuse_ino_t ino, enum disk_kind kind, off_t offset, size_t length)
{
	struct serve_link *link = fuse_req_userdata(req);
	struct request *r = calloc(1, sizeof(*r));

	if (!r || file_of(ino) < 0 || file_of(ino) >= link->disk->file_count) {
		fuse_reply_err(req, r ? EIO : ENOMEM);
		free(r);
		return NULL;
	}
	r->link = link;
	r->req = req;
	r->op = (struct disk_op){
		.kind = kind,
		.nexus = link->nexus,
		.file = file_of(ino),
		.offset_bytes = (uint64_t)offset,
		.length_bytes = length,
		.done = request_done,
	};
	if (kind == DISK_READ || kind == DISK_WRITE) {
		r->op.data = malloc(length ? length : 1);
		if (!r->op.data) {
			fuse_reply_err(req, ENOMEM);
			free(r);
			return NULL;
		}
	}
	link->pending++;
	return r;
}

static void op_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct request *r = request_new(req, ino, DISK_READ, offset, size);

	if (r) {
		disk_submit(r->link->disk, &r->op);
	}
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	struct request *r = request_new(req, ino, DISK_WRITE, offset, size);

	if (r) {
		memcpy(r->op.data, bytes, size);
		disk_submit(r->link->disk, &r->op);
	}
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct request *r = request_new(req, ino, DISK_SYNC, 0, 0);

	if (r) {
		disk_submit(r->link->disk, &r->op);
	}
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi)
{
	struct serve_link *link = fuse_req_userdata(req);
	bool punch = mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	bool zero = mode == (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	struct request *r;

	if (!punch && !zero) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	/* Behind the end there is nothing to punch: the question whether it can be done. */
	if (file_of(ino) >= 0 && file_of(ino) < link->disk->file_count &&
		(uint64_t)offset >= link->disk->files[file_of(ino)].size_bytes) {
		fuse_reply_err(req, 0);
		return;
	}
	r = request_new(req, ino, DISK_ZERO, offset, (size_t)length);
	if (r) {
		disk_submit(r->link->disk, &r->op);
	}
}

static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int request, void *arg,
	struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size, size_t out_size)
{
	struct request *r;

	if (ino == FUSE_ROOT_ID || in_size > DISK_IOCTL_BYTES || out_size > DISK_IOCTL_BYTES) {
		fuse_reply_err(req, ENOTTY);
		return;
	}
	r = request_new(req, ino, DISK_IOCTL, 0, 0);
	if (r) {
		r->op.request = request;
		r->out_size = out_size;
		if (in_size) {
			memcpy(r->op.argument, in, in_size);
		}
		disk_submit(r->link->disk, &r->op);
	}
}

/* ----- the file system --------------------------------------------------------------------------
 */

static bool attributes(const struct disk *disk, fuse_ino_t ino, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_blksize = 4096;
	if (ino == FUSE_ROOT_ID) {
		st->st_mode = S_IFDIR | 0755;
		st->st_nlink = 2;
		return true;
	}
	if (file_of(ino) < 0 || file_of(ino) >= disk->file_count) {
		return false;
	}
	st->st_mode = S_IFREG | 0600;
	st->st_nlink = 1;
	st->st_size = (off_t)disk->files[file_of(ino)].size_bytes;
	st->st_blocks = st->st_size / 512;
	return true;
}

static void op_init(void *arg, struct fuse_conn_info *conn)
{
	conn->want |= conn->capable & FUSE_CAP_ASYNC_DIO;
	conn->max_write = SERVE_REQUEST_BYTES;
	conn->max_background = SERVE_BACKGROUND_MAX;
	conn->congestion_threshold = SERVE_BACKGROUND_MAX;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct serve_link *link = fuse_req_userdata(req);
	int file = disk_file_find(link->disk, name);
	struct fuse_entry_param entry = {
		.attr_timeout = SERVE_FOREVER_S,
		.entry_timeout = SERVE_FOREVER_S,
	};

	if (parent != FUSE_ROOT_ID || file == DISK_ANY) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	entry.ino = (fuse_ino_t)file + 2;
	attributes(link->disk, entry.ino, &entry.attr);
	fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct serve_link *link = fuse_req_userdata(req);
	struct stat st;

	if (attributes(link->disk, ino, &st)) {
		fuse_reply_attr(req, &st, SERVE_FOREVER_S);
	} else {
		fuse_reply_err(req, ENOENT);
	}
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct serve_link *link = fuse_req_userdata(req);
	struct stat st;

	if (!attributes(link->disk, ino, &st)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fi->direct_io = 1; /* every transfer comes here, whatever the flags of open() */
	fuse_reply_open(req, fi);
}

static void op_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct serve_link *link = fuse_req_userdata(req);
	char *bytes = calloc(1, size);
	size_t used = 0;

	for (off_t i = offset; bytes && i < link->disk->file_count; i++) {
		struct stat st;
		size_t need;

		attributes(link->disk, (fuse_ino_t)i + 2, &st);
		need = fuse_add_direntry(
			req, bytes + used, size - used, link->disk->files[i].name, &st, i + 1);
		if (need > size - used) {
			break;
		}
		used += need;
	}
	if (bytes) {
		fuse_reply_buf(req, bytes, used);
	} else {
		fuse_reply_err(req, ENOMEM);
	}
	free(bytes);
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.fallocate = op_fallocate,
	.ioctl = op_ioctl,
	.readdir = op_readdir,
};

/* ----- links
 * -------------------------------------------------------------------------------------- */

static struct serve_link *link_new(struct disk *disk, int nexus)
{
	char *words[] = {(char[]){"yoke-faultdisk"}, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, words);
	struct serve_link *link = calloc(1, sizeof(*link));

	if (!link) {
		return NULL;
	}
	link->disk = disk;
	link->nexus = nexus;
	link->session = fuse_session_new(&args, &operations, sizeof(operations), link);
	fuse_opt_free_args(&args);
	if (!link->session) {
		free(link);
		return NULL;
	}
	return link;
}

struct serve_link *serve_attach(struct disk *disk, int nexus, int fd)
{
	struct serve_link *link = link_new(disk, nexus);
	char place[32];

	snprintf(place, sizeof(place), "/dev/fd/%d", fd);
	if (!link || fuse_session_mount(link->session, place) != 0) {
		close(fd);
		if (link) {
			link_free(link);
		}
		return NULL;
	}
	fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
	return link;
}

struct serve_link *serve_mount(struct disk *disk, int nexus, const char *directory)
{
	struct serve_link *link = link_new(disk, nexus);

	if (link && fuse_session_mount(link->session, directory) != 0) {
		link_free(link);
		return NULL;
	}
	if (link) {
		link->mounted = true;
		fcntl(serve_fd(link), F_SETFL, O_RDWR | O_NONBLOCK);
	}
	return link;
}

int serve_fd(const struct serve_link *link)
{
	return fuse_session_fd(link->session);
}

bool serve_ready(struct serve_link *link)
{
	int n = fuse_session_receive_buf(link->session, &link->buf);

	if (n > 0) {
		fuse_session_process_buf(link->session, &link->buf);
	}
	return !fuse_session_exited(link->session) && (n > 0 || n == -EAGAIN || n == -EINTR);
}

void serve_detach(struct serve_link *link)
{
	int fd = serve_fd(link), null = open(SERVE_NO_REPLY, O_RDWR | O_CLOEXEC);

	if (link->mounted) {
		fuse_session_unmount(link->session);
		fd = serve_fd(link);
	}
	/* The last descriptor of the connection goes, its number stays for late answers. */
	if (null >= 0 && fd >= 0) {
		dup2(null, fd);
	}
	if (null >= 0) {
		close(null);
	}
	link->gone = true;
	if (!link->pending) {
		link_free(link);
	}
}
