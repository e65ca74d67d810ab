#include "commands/signals.h"

#include <signal.h>
#include <time.h>

#include "base/fail.h"

static sigset_t both(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

void signals_block(void)
{
    sigset_t set = both();
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

int signals_wait(void)
{
    sigset_t set = both();
    int signal = 0;
    while (sigwait(&set, &signal) != 0)
        ;
    return signal;
}

int signals_seen(void)
{
    static int seen;
    sigset_t set = both();
    struct timespec now = {0};
    if (!seen) {
        int signal = sigtimedwait(&set, NULL, &now);
        seen = signal > 0 ? signal : 0;
    }
    return seen;
}

bool signals_have_come(void *unused)
{
    (void)unused;
    return signals_seen() != 0;
}

int signals_exit_code(int signal)
{
    return signal == SIGINT ? EXIT_SIGINT : EXIT_SIGTERM;
}
