/*
 * What the commands of mirrorctl work with: the API, the terminal, and the options that hold everywhere.
 */
#ifndef MIRROR_CTL_CTL_H
#define MIRROR_CTL_CTL_H

#include "ctl/ctl_args.h"
#include "ctl/ctl_client.h"
#include "ctl/ctl_table.h"

#include <cjson/cJSON.h>

struct ctl {
    struct ctl_client *client;
    bool json; /* print JSON only */
    bool out_is_tty, err_is_tty;
    bool colour;  /* on stdout */
    size_t width; /* of the terminal; 0: stdout is none, no limit */
};

/* Finds the API (from --config or --url), the token and the terminal. -1 and *exit_out. */
int ctl_open(struct ctl *ctl, const struct ctl_args *args, enum ctl_exit *exit_out);
void ctl_close(struct ctl *ctl);

/* Asks the API. NULL if that failed: it was said on stderr, and *exit_out tells the exit status. `body` may be NULL. */
cJSON *ctl_ask(struct ctl *ctl, const struct ctl_request *request, enum ctl_exit *exit_out);
/* Just a path, nothing sent. */
cJSON *ctl_get(struct ctl *ctl, const char *path, enum ctl_exit *exit_out);
/* The document as the body; deleted. */
cJSON *ctl_post(struct ctl *ctl, const char *path, cJSON *body, enum ctl_exit *exit_out);

/* All pages of /api/v1/mailboxes, as {"mailboxes": […]}. `route` NULL: all. */
cJSON *ctl_all_mailboxes(struct ctl *ctl, const char *route, enum ctl_exit *exit_out);

/* The name as one segment of a path, percent-escaped; the caller frees. */
char *ctl_escape(const char *name);

/* Output. */
void ctl_print_json(const cJSON *document);
void ctl_print_table(const struct ctl *ctl, const struct ctl_table *table);
/* One line on stdout; control characters of what came from elsewhere become '?'. */
void ctl_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Text in lines of the terminal's width, the first behind a title, the others below it. */
void ctl_say_wrapped(const struct ctl *ctl, const char *title, const char *text);
void ctl_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Members, with a default where one is missing or of another type. */
const char *ctl_text(const cJSON *object, const char *name);
double ctl_number(const cJSON *object, const char *name, double otherwise);
bool ctl_flag(const cJSON *object, const char *name);

/* "12s", "3m", "5h", "2d"; "-" for none (below 0). Returns `text`. */
char *ctl_age(double seconds, char text[16]);
/* How a state is coloured. */
enum ctl_colour ctl_state_colour(const char *state, bool well);

#endif
