/* A prefork manager in C. It keeps 3 workers, replaces one that is killed, reloads on HUP, and
 * stops on TERM or INT when its workers have finished.
 *
 *     cc -o workers workers.c $(pkg-config --cflags --libs prefork)
 */

#include <prefork.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t term_received;

static void on_term(int signal)
{
    (void)signal;
    term_received = 1;
}

/* What each worker does; it exits with what this returns. */
static int32_t work(pf_t *pf, void *data)
{
    struct sigaction term = { 0 };
    (void)data;
    term.sa_handler = on_term;
    sigaction(SIGTERM, &term, NULL);
    signal(SIGINT, SIG_IGN); /* Ctrl-C goes to the whole group; the manager sends TERM */

    printf("worker %d: pid %d, generation %llu\n", (int)pf_worker_index(pf), (int)getpid(),
        (unsigned long long)pf_generation(pf));
    fflush(stdout);
    while (!term_received)
        usleep(10000); /* a piece of work */
    return 0;
}

static void on_child_reap(pf_t *pf, const pf_event *exit, void *data)
{
    (void)pf;
    (void)data;
    if (WIFSIGNALED(exit->status))
        printf("worker %d: pid %d was killed by signal %d\n", (int)exit->index, (int)exit->pid,
            WTERMSIG(exit->status));
    else
        printf("worker %d: pid %d exited with %d\n", (int)exit->index, (int)exit->pid,
            WEXITSTATUS(exit->status));
    fflush(stdout);
}

static int failed(pf_t *pf, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, pf_error_message(pf));
    pf_free(pf);
    return 1;
}

int main(void)
{
    pf_t *pf = pf_new();

    pf_set_max_workers(pf, 3);
    pf_set_err_respawn_interval(pf, 0.1);
    pf_set_on_child_reap(pf, on_child_reap, NULL);
    if (pf_trap_signal(pf, SIGTERM, SIGTERM, 0) != PF_OK
            || pf_trap_signal(pf, SIGINT, SIGTERM, 0) != PF_OK
            || pf_trap_signal(pf, SIGHUP, SIGTERM, 0) != PF_OK)
        return failed(pf, "pf_trap_signal");

    printf("manager: pid %d\n", (int)getpid());
    do {
        /* Read the configuration here: this runs again after each HUP. */
        if (pf_start(pf, work, NULL) != PF_OK)
            return failed(pf, "pf_start");
    } while (pf_signal_received(pf) == SIGHUP);

    if (pf_wait_all_children(pf, -1, NULL) != PF_OK)
        return failed(pf, "pf_wait_all_children");
    printf("manager: stopped\n");
    pf_free(pf);
    return 0;
}
