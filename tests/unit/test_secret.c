/*
 * Secret files: which modes and places are accepted, and what may stand in them.
 */
#include "base/secret.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/mirror-secret-XXXXXX";
static char file[64], other[64];

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(file, sizeof(file), "%s/secret", directory);
    snprintf(other, sizeof(other), "%s/link", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(file);
    unlink(other);
    return rmdir(directory);
}

static void put(const void *bytes, size_t len, mode_t mode)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void test_content(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *secret, *why;
    } cases[] = {
        {"abc", 3, "abc", NULL},
        {"abc\n", 4, "abc", NULL},
        {"abc\r\n", 5, "abc", NULL},
        {" a b ", 5, " a b ", NULL},
        {"", 0, NULL, "is empty; write the secret into it, on one line"},
        {"\n", 1, NULL, "is empty; write the secret into it, on one line"},
        {"\r\n", 2, NULL, "is empty; write the secret into it, on one line"},
        {"a\0b", 3, NULL,
         "holds more than one line, or a NUL byte; write the secret alone into it, on one line"},
        {"a\nb\n", 4, NULL,
         "holds more than one line, or a NUL byte; write the secret alone into it, on one line"},
        {"a\n\n", 3, NULL,
         "holds more than one line, or a NUL byte; write the secret alone into it, on one line"},
        {"a\r", 2, NULL,
         "holds more than one line, or a NUL byte; write the secret alone into it, on one line"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {0};
        put(cases[i].bytes, cases[i].len, 0600);
        struct secret *secret = secret_read(file, NULL, &err);
        if (cases[i].secret != NULL) {
            assert_non_null(secret);
            assert_string_equal(secret_reveal(secret), cases[i].secret);
        } else {
            assert_null(secret);
            char *expected = str_format("secret file %s: %s", file, cases[i].why);
            assert_string_equal(err.text, expected);
            free(expected);
        }
        secret_free(secret);
    }
}

static void test_length(void **state)
{
    char bytes[1100];
    struct err err;
    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    bytes[1024] = '\n';
    put(bytes, 1025, 0600);
    struct secret *secret = secret_read(file, NULL, &err);
    assert_non_null(secret);
    assert_int_equal(strlen(secret_reveal(secret)), 1024);
    secret_free(secret);
    bytes[1024] = 'x';
    put(bytes, 1025, 0600);
    assert_null(secret_read(file, NULL, &err));
    assert_non_null(strstr(err.text, "is longer than 1024 bytes"));
    put(bytes, 1100, 0600);
    assert_null(secret_read(file, NULL, &err));
}

static void test_modes(void **state)
{
    static const struct {
        mode_t directory, file;
        bool good;
    } cases[] = {
        {0700, 0600, true},  {0700, 0644, true},  {0755, 0600, true},
        {0755, 0400, true},  {0755, 0640, false}, {0755, 0604, false},
        {0755, 0620, false}, {0710, 0644, false}, {0755, 0666, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {0};
        put("x", 1, cases[i].file);
        chmod(directory, cases[i].directory);
        assert_int_equal(secret_check_file(file, &err), cases[i].good ? 0 : -1);
        if (!cases[i].good)
            assert_non_null(strstr(err.text, "others than its owner may use it (mode 0"));
    }
    chmod(directory, 0700);
}

static void test_what_is_no_secret_file(void **state)
{
    struct err err;
    (void)state;
    unlink(file);
    assert_null(secret_read(file, NULL, &err));
    assert_int_equal(err.scope, ERR_PROCESS);
    assert_non_null(strstr(err.text, "No such file or directory"));
    assert_int_equal(secret_check_file(directory, &err), -1);
    assert_non_null(strstr(err.text, "is not a regular file"));
    assert_int_equal(mkfifo(other, 0600), 0);
    assert_null(secret_read(other, NULL, &err));
    unlink(other);
}

/* A link from a private directory to a readable file elsewhere hides nothing. */
static void test_links_are_followed(void **state)
{
    struct err err;
    char open_file[] = "/tmp/mirror-open-XXXXXX";
    (void)state;
    int fd = mkstemp(open_file);
    assert_true(fd >= 0 && fchmod(fd, 0644) == 0);
    close(fd);
    assert_int_equal(symlink(open_file, other), 0);
    assert_int_equal(secret_check_file(other, &err), -1);
    unlink(open_file);
    unlink(other);
    put("x", 1, 0600);
    assert_int_equal(symlink(file, other), 0);
    assert_int_equal(secret_check_file(other, &err), 0);
    unlink(other);
}

static void test_version_changes_with_the_file(void **state)
{
    uint64_t first, same, second;
    (void)state;
    put("one", 3, 0600);
    secret_free(secret_read(file, &first, NULL));
    secret_free(secret_read(file, &same, NULL));
    assert_true(first == same);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000000, .tv_nsec = 5}};
    assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
    secret_free(secret_read(file, &second, NULL));
    assert_true(first != second);
    struct secret *secret = secret_from("text");
    assert_string_equal(secret_reveal(secret), "text");
    secret_free(secret);
    secret_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_what_is_no_secret_file),
        cmocka_unit_test(test_links_are_followed),
        cmocka_unit_test(test_version_changes_with_the_file),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
