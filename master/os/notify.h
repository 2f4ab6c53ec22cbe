/*
 * Messages to the service manager that started us, if it gave us a NOTIFY_SOCKET (the protocol of
 * sd_notify(3)).
 */
#ifndef MASTER_OS_NOTIFY_H
#define MASTER_OS_NOTIFY_H

#include <stdint.h>

/* Takes the socket and the watchdog's interval from the environment, and removes them from it. */
void notify_open(void);

void notify_ready(void);
void notify_reloading(void); /* notify_ready() ends it */
void notify_stopping(void);
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* When the watchdog's next message is due (0: there is no watchdog), and sending it. */
int64_t notify_deadline(void);
void notify_run(void);

void notify_close(void);

#endif
