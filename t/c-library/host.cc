/* A host in C++: the manager in a unique_ptr, hooks that are functions or lambdas, and what they know in
 * an object. Two workers, until TERM arrives; each of them ends with its index. */

#include <csignal>
#include <cstdio>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

#include <sys/wait.h>

#include "prefork.h"

using Manager = std::unique_ptr<pf_t, decltype(&pf_free)>;

struct Pool {
    int asked = 0;
    std::map<int32_t, int> status_of; /* by pid */
};

static void check(pf_t *pf, pf_result result, const char *what)
{
    if (result != PF_OK)
        throw std::runtime_error(std::string(what) + ": " + pf_error_message(pf));
}

extern "C" {

static void before_fork(pf_t *, void *data)
{
    ++static_cast<Pool *>(data)->asked;
}

/* An exception must not leave a function that the library calls. */
static int32_t work(pf_t *pf, void *) noexcept
{
    try {
        sigset_t term;
        int received = 0;
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        sigprocmask(SIG_BLOCK, &term, nullptr);
        std::printf("worker %d\n", static_cast<int>(pf_worker_index(pf)));
        std::fflush(stdout);
        sigwait(&term, &received);
        throw received;
    } catch (int signal) {
        return signal == SIGTERM ? pf_worker_index(pf) : 99;
    }
}

} // extern "C"

static void serve()
{
    Pool pool;
    Manager manager(pf_new(), &pf_free);
    pf_t *const pf = manager.get();

    check(pf, pf_set_max_workers(pf, 2), "pf_set_max_workers");
    check(pf, pf_set_before_fork(pf, before_fork, &pool), "pf_set_before_fork");
    check(pf, pf_set_after_fork(pf, [](pf_t *, int32_t pid, void *data) {
        static_cast<Pool *>(data)->status_of[pid] = -1;
    }, &pool), "pf_set_after_fork");
    check(pf, pf_set_on_child_reap(pf, [](pf_t *, const pf_event *exit, void *data) {
        static_cast<Pool *>(data)->status_of.at(exit->pid) = WEXITSTATUS(exit->status);
    }, &pool), "pf_set_on_child_reap");
    check(pf, pf_trap_signal(pf, SIGTERM, SIGTERM, 0), "pf_trap_signal");
    check(pf, pf_start(pf, work, nullptr), "pf_start");
    check(pf, pf_wait_all_children(pf, -1, nullptr), "pf_wait_all_children");

    int sum = 0;
    for (const auto &worker : pool.status_of)
        sum += worker.second;
    std::printf("%d asked, %d forked, sum %d\n", pool.asked, static_cast<int>(pool.status_of.size()), sum);

    try {
        check(pf, pf_trap_signal(pf, 1000, SIGTERM, 0), "pf_trap_signal");
    } catch (const std::exception &error) {
        std::printf("%s\n", error.what());
    }
}

int main()
{
    serve();
    std::printf("freed\n");
    return 0;
}
