/*
 * The hold place; see hold.h. File names: <internal date>.V<uidvalidity>U<uid>.<sha256>:2,<flags>
 */
#include "copier/hold.h"

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "imap/imap_flags.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { NAME_BYTES = 256, FOLDER_BYTES = 200, READ_BYTES = 65536 };
/* The managed database may live on the same file system. */
static const uint64_t SPARE_BYTES = 256ULL << 20;
static const char TEMPORARY[] = "being-written";

struct held {
    uint32_t uidvalidity, uid;
    char name[NAME_BYTES];
};

struct hold {
    char *place;
    char *folder; /* neutral name */
    int root, cur, tmp, index;
    struct held *held; /* of the folder, by (uidvalidity, uid) */
    size_t count, size;
    struct { /* the message that is being written */
        int fd;
        struct hold_message message;
        int error; /* errno of the first write that failed; 0: none */
    } now;
};

static int fail(const struct hold *hold, int error, struct err *err)
{
    const char *advice = error == ENOSPC || error == EDQUOT
                             ? "make room there, or set routes[].directory.hold_dir to another place"
                             : "look at its rights and its disk, or set routes[].directory.hold_dir";
    return err_set(err, ERR_MAILBOX, ERR_RETRY_LATER, "the hold place %s: %s: %s", hold->place,
                   strerror(error), advice);
}

/* ---- places ---- */

static int make_path(const char *path)
{
    char *copy = str_copy(path);
    int result = 0;
    for (char *slash = strchr(copy + 1, '/'); result == 0; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST)
            result = errno;
        if (!slash)
            break;
        *slash = '/';
    }
    free(copy);
    return result;
}

struct hold *hold_open(const char *place, struct err *err)
{
    struct hold *hold = mem_new(sizeof(*hold));
    hold->place = str_copy(place);
    hold->root = hold->cur = hold->tmp = hold->index = hold->now.fd = -1;
    int error = make_path(place);
    if (error == 0 && (hold->root = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        error = errno;
    if (error == 0 && (hold->index = openat(hold->root, "index.jsonl",
                                            O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0)
        error = errno;
    if (error == 0)
        return hold;
    fail(hold, error, err);
    hold_free(hold);
    return NULL;
}

static void close_folder(struct hold *hold)
{
    hold_abandon(hold);
    if (hold->cur >= 0)
        close(hold->cur);
    if (hold->tmp >= 0)
        close(hold->tmp);
    hold->cur = hold->tmp = -1;
    free(hold->folder);
    hold->folder = NULL;
    hold->count = 0;
}

void hold_free(struct hold *hold)
{
    if (!hold)
        return;
    close_folder(hold);
    if (hold->root >= 0)
        close(hold->root);
    if (hold->index >= 0)
        close(hold->index);
    free(hold->held);
    free(hold->place);
    free(hold);
}

/* Maildir++: ".Level.Level". What is not plain becomes %XX, and a long name ends with its digest, so that no two folders are one. */
static void directory_name(const char *name, char text[NAME_BYTES])
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = 0;
    if (str_equal(name, "INBOX")) {
        str_into(text, NAME_BYTES, ".");
        return;
    }
    text[len++] = '.';
    for (const unsigned char *at = (const unsigned char *)name; *at && len < FOLDER_BYTES - 80; at++) {
        bool plain = *at > ' ' && *at != '.' && *at != '%' && *at != 0x7f;
        if (*at == '/' || plain) {
            text[len++] = (char)(*at == '/' ? '.' : *at);
            continue;
        }
        text[len++] = '%';
        text[len++] = hex[*at >> 4];
        text[len++] = hex[*at & 15];
    }
    text[len] = '\0';
    if (len >= FOLDER_BYTES - 80) {
        struct digest_pair pair;
        digest_of(name, strlen(name), &pair);
        text[len] = '-';
        digest_hex(pair.raw, text + len + 1);
    }
}

static int open_below(int at, const char *name)
{
    if (mkdirat(at, name, 0700) != 0 && errno != EEXIST)
        return -1;
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_folder(struct hold *hold, const char *directory)
{
    int at = str_equal(directory, ".") ? openat(hold->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                                       : open_below(hold->root, directory);
    int fresh = -1, result = 0;
    if (at < 0)
        return errno;
    hold->cur = open_below(at, "cur");
    hold->tmp = hold->cur < 0 ? -1 : open_below(at, "tmp");
    fresh = hold->tmp < 0 ? -1 : open_below(at, "new");
    if (fresh < 0)
        result = errno;
    else if (fsync(at) != 0 || fsync(hold->root) != 0)
        result = errno;
    if (fresh >= 0)
        close(fresh);
    close(at);
    return result;
}

/* ---- what is there ---- */

static int by_uid(const void *a, const void *b)
{
    const struct held *x = a, *y = b;
    if (x->uidvalidity != y->uidvalidity)
        return x->uidvalidity < y->uidvalidity ? -1 : 1;
    return (x->uid > y->uid) - (x->uid < y->uid);
}

static bool read_name(const char *name, struct held *held, char sha[DIGEST_HEX_BYTES])
{
    int64_t date;
    return strlen(name) < NAME_BYTES &&
           sscanf(name, "%" SCNd64 ".V%" SCNu32 "U%" SCNu32 ".%64[0-9a-f]", &date, &held->uidvalidity,
                  &held->uid, sha) == 4 &&
           strlen(sha) == DIGEST_HEX_BYTES - 1;
}

static void note(struct hold *hold, const char *name)
{
    struct held held;
    char sha[DIGEST_HEX_BYTES];
    if (!read_name(name, &held, sha))
        return;
    str_into(held.name, sizeof(held.name), name);
    if (hold->count == hold->size) {
        hold->size = hold->size ? hold->size * 2 : 64;
        hold->held = mem_grow(hold->held, hold->size, sizeof(*hold->held));
    }
    hold->held[hold->count++] = held;
}

/* on_name gets each name in the directory; 0, or an errno. */
static int each_name(int directory, const char *path,
                     void (*on_name)(void *context, int directory, const char *name), void *context)
{
    int copy = openat(directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;
    int error = errno;
    if (!stream) {
        if (copy >= 0)
            close(copy);
        return error;
    }
    errno = 0;
    while ((entry = readdir(stream)))
        on_name(context, copy, entry->d_name);
    error = errno;
    closedir(stream);
    return error;
}

static void on_message(void *hold, int directory, const char *name)
{
    (void)directory;
    note(hold, name);
    errno = 0;
}

static int read_folder(struct hold *hold)
{
    int error = each_name(hold->cur, ".", on_message, hold);
    if (hold->count > 0)
        qsort(hold->held, hold->count, sizeof(*hold->held), by_uid);
    return error;
}

int hold_folder(struct hold *hold, const char *name, struct err *err)
{
    char directory[NAME_BYTES];
    close_folder(hold);
    hold->folder = str_copy(name);
    directory_name(name, directory);
    int error = open_folder(hold, directory);
    if (error == 0)
        error = read_folder(hold);
    return error == 0 ? 0 : fail(hold, error, err);
}

static const struct held *find(const struct hold *hold, uint32_t uidvalidity, uint32_t uid)
{
    struct held key = {.uidvalidity = uidvalidity, .uid = uid};
    return hold->count ? bsearch(&key, hold->held, hold->count, sizeof(key), by_uid) : NULL;
}

bool hold_has(const struct hold *hold, uint32_t uidvalidity, uint32_t uid)
{
    return find(hold, uidvalidity, uid) != NULL;
}

int hold_check_room(const struct hold *hold, uint64_t bytes, struct err *err)
{
    struct statvfs disk;
    if (fstatvfs(hold->root, &disk) != 0)
        return fail(hold, errno, err);
    uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (bytes == 0 || room >= bytes + SPARE_BYTES)
        return 0;
    return err_set(
        err, ERR_MAILBOX, ERR_RETRY_LATER,
        "the hold place %s has room for %" PRIu64 " MiB, and %" PRIu64 " MiB (of them %" PRIu64
        " to spare) are needed: make room there, or set routes[].directory.hold_dir to another place",
        hold->place, room >> 20, (bytes + SPARE_BYTES + 1048575) >> 20, SPARE_BYTES >> 20);
}

/* ---- writing ---- */

void hold_abandon(struct hold *hold)
{
    if (hold->now.fd < 0)
        return;
    close(hold->now.fd);
    hold->now.fd = -1;
    unlinkat(hold->tmp, TEMPORARY, 0);
}

int hold_begin(struct hold *hold, const struct hold_message *message, struct err *err)
{
    hold_abandon(hold);
    hold->now.message = *message;
    hold->now.error = 0;
    hold->now.fd = openat(hold->tmp, TEMPORARY, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return hold->now.fd < 0 ? fail(hold, errno, err) : 0;
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, bytes, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? errno : EIO;
        bytes += written;
        len -= (size_t)written;
    }
    return 0;
}

void hold_add(void *context, const char *bytes, size_t len)
{
    struct hold *hold = context;
    if (hold->now.error == 0)
        hold->now.error = write_all(hold->now.fd, bytes, len);
}

/* 0, or an errno: EBADMSG if it is not what the digest says. */
static int compare(int fd, const uint8_t sha256[DIGEST_BYTES])
{
    char *bytes = mem_new(READ_BYTES);
    struct digest *digest = digest_new();
    struct digest_pair pair;
    ssize_t len;
    int error = lseek(fd, 0, SEEK_SET) < 0 ? errno : 0;
    while (error == 0 && (len = read(fd, bytes, READ_BYTES)) != 0) {
        if (len > 0)
            digest_add(digest, bytes, (size_t)len);
        else if (errno != EINTR)
            error = errno;
    }
    digest_end(digest, &pair);
    digest_free(digest);
    free(bytes);
    return error ? error : memcmp(pair.raw, sha256, DIGEST_BYTES) == 0 ? 0 : EBADMSG;
}

static void add_flags(cJSON *line, const struct imap_flags *flags)
{
    cJSON *list = cJSON_AddArrayToObject(line, "flags");
    char *text = imap_flags_format(flags), *rest = NULL;
    for (char *flag = strtok_r(text, " ", &rest); flag; flag = strtok_r(NULL, " ", &rest))
        cJSON_AddItemToArray(list, cJSON_CreateString(flag));
    free(text);
}

static int add_to_index(struct hold *hold, const char *name, const struct digest_pair *pair)
{
    const struct hold_message *message = &hold->now.message;
    char date[40] = "", sha[DIGEST_HEX_BYTES];
    time_t seconds = (time_t)message->internal_date;
    struct tm utc;
    cJSON *line = cJSON_CreateObject();
    if (gmtime_r(&seconds, &utc))
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &utc);
    cJSON_AddStringToObject(line, "folder", hold->folder);
    cJSON_AddStringToObject(line, "file", name);
    cJSON_AddNumberToObject(line, "uidvalidity", message->uidvalidity);
    cJSON_AddNumberToObject(line, "uid", message->uid);
    cJSON_AddStringToObject(line, "internal_date", date);
    cJSON_AddNumberToObject(line, "size_bytes", (double)pair->raw_bytes);
    cJSON_AddStringToObject(line, "sha256", digest_hex(pair->raw, sha));
    add_flags(line, message->flags);
    char *printed = json_print(line), *text = str_format("%s\n", printed);
    int error = write_all(hold->index, text, strlen(text));
    if (error == 0 && fsync(hold->index) != 0)
        error = errno;
    free(printed);
    free(text);
    cJSON_Delete(line);
    return error;
}

/* Maildir's letters, in their order. */
static void file_name(const struct hold_message *message, const struct digest_pair *pair,
                      char name[NAME_BYTES])
{
    static const struct {
        unsigned flag;
        char letter;
    } letters[] = {{IMAP_FLAG_DRAFT, 'D'},
                   {IMAP_FLAG_FLAGGED, 'F'},
                   {IMAP_FLAG_ANSWERED, 'R'},
                   {IMAP_FLAG_SEEN, 'S'},
                   {IMAP_FLAG_DELETED, 'T'}};
    char flags[8] = "", sha[DIGEST_HEX_BYTES];
    size_t count = 0;
    for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++)
        if (message->flags->system & letters[i].flag)
            flags[count++] = letters[i].letter;
    snprintf(name, NAME_BYTES, "%" PRId64 ".V%" PRIu32 "U%" PRIu32 ".%s:2,%s", message->internal_date,
             message->uidvalidity, message->uid, digest_hex(pair->raw, sha), flags);
}

static int settle(struct hold *hold, const struct digest_pair *pair)
{
    char name[NAME_BYTES];
    struct timespec times[2] = {{.tv_sec = (time_t)hold->now.message.internal_date},
                                {.tv_sec = (time_t)hold->now.message.internal_date}};
    if (hold->now.error)
        return hold->now.error;
    int error = compare(hold->now.fd, pair->raw);
    if (error)
        return error;
    futimens(hold->now.fd,
             times); /* a date that the file system cannot keep stands in name and index all the same */
    if (fsync(hold->now.fd) != 0)
        return errno;
    file_name(&hold->now.message, pair, name);
    error = add_to_index(hold, name, pair);
    if (error == 0 && renameat(hold->tmp, TEMPORARY, hold->cur, name) != 0)
        error = errno;
    if (error)
        return error;
    note(hold, name);
    if (hold->count > 1 && by_uid(&hold->held[hold->count - 2], &hold->held[hold->count - 1]) > 0)
        qsort(hold->held, hold->count, sizeof(*hold->held), by_uid);
    return 0;
}

int hold_end(struct hold *hold, const struct digest_pair *pair, struct err *err)
{
    int error = settle(hold, pair);
    if (error == 0) {
        close(hold->now.fd);
        hold->now.fd = -1;
        return 0;
    }
    hold_abandon(hold);
    return fail(hold, error, err);
}

/* ---- proof ---- */

static void read_hex(const char *text, uint8_t digest[DIGEST_BYTES])
{
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        const char byte[] = {text[2 * i], text[2 * i + 1], '\0'};
        digest[i] = (uint8_t)strtoul(byte, NULL, 16);
    }
}

static bool is_as_named(const struct hold *hold, const struct held *held)
{
    struct held parsed;
    char sha[DIGEST_HEX_BYTES];
    uint8_t wanted[DIGEST_BYTES];
    if (!read_name(held->name, &parsed, sha))
        return false;
    int fd = openat(hold->cur, held->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    read_hex(sha, wanted);
    bool proven = compare(fd, wanted) == 0;
    close(fd);
    return proven;
}

bool hold_prove(struct hold *hold, uint32_t uidvalidity, uint32_t uid)
{
    const struct held *held = find(hold, uidvalidity, uid);
    if (!held || is_as_named(hold, held))
        return held != NULL;
    log_warning("a held message is damaged: it is fetched again", LOG_STR("file", held->name));
    unlinkat(hold->cur, held->name, 0);
    return false;
}

struct total {
    uint32_t messages;
    uint64_t bytes;
};

static void add_message(void *context, int directory, const char *name)
{
    struct total *total = context;
    struct held held;
    char sha[DIGEST_HEX_BYTES];
    struct stat file;
    if (read_name(name, &held, sha) && fstatat(directory, name, &file, AT_SYMLINK_NOFOLLOW) == 0) {
        total->messages++;
        total->bytes += (uint64_t)file.st_size;
    }
    errno = 0;
}

/* Of the place itself, "." is INBOX, and what else begins with a dot a folder. */
static void add_folder(void *context, int directory, const char *name)
{
    char path[NAME_BYTES + 8];
    if (name[0] == '.' && !str_equal(name, "..") && strlen(name) < NAME_BYTES) {
        snprintf(path, sizeof(path), "%s/cur", name);
        each_name(directory, path, add_message, context);
    }
    errno = 0;
}

int hold_total(const struct hold *hold, uint32_t *messages_out, uint64_t *bytes_out, struct err *err)
{
    struct total total = {0};
    int error = each_name(hold->root, ".", add_folder, &total);
    *messages_out = total.messages;
    *bytes_out = total.bytes;
    return error == 0 ? 0 : fail(hold, error, err);
}

int hold_sync(const struct hold *hold, struct err *err)
{
    return fsync(hold->cur) == 0 && fsync(hold->tmp) == 0 ? 0 : fail(hold, errno, err);
}
