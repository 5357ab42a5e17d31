/*
 * Handlers of /api/v1/mailboxes: list, show, add, remove.
 */
#ifndef MIRROR_API_MAILBOX_H
#define MIRROR_API_MAILBOX_H

#include "api/api.h"

api_handler api_mailbox_list;   /* ?mailbox= ?route= ?after= ?limit= (1 to 1000, 200) */
api_handler api_mailbox_show;   /* with the folders of each mirror */
api_handler api_mailbox_add;    /* {"mailbox", "name", "cos", "priority", "routes": […]} */
api_handler api_mailbox_remove; /* copies on the targets stay */

#endif
