/* What became of the checks of one target. */
#include <stdlib.h>

#include "complain.h"
#include "history.h"

struct history *history_new(uint64_t times)
{
    struct history *history = must(calloc(1, sizeof *history));

    if (times > 0)
        history->times = must(malloc(times * sizeof *history->times));
    return history;
}

void history_free(struct history *history)
{
    if (history == NULL)
        return;
    rtt_clear(&history->all.rtt);
    rtt_clear(&history->recent.rtt);
    free(history->times);
    free(history);
}

static void add(struct tally *tally, const struct history *history, const shaker_result *result)
{
    if (result->status < SHAKER_OK) {
        tally->no_verdict++;
        return;
    }
    tally->sent++;
    if (result->status != SHAKER_OK)
        return;
    tally->received++;
    rtt_add(&tally->rtt, result->rtt_us);
    if (history->answered) {
        tally->differences++;
        tally->differences_us += result->rtt_us > history->last_rtt_us ? result->rtt_us - history->last_rtt_us
                                                                       : history->last_rtt_us - result->rtt_us;
    }
}

void history_add(struct history *history, const shaker_result *result, uint64_t now_us, bool recent)
{
    uint64_t began_us = now_us - result->elapsed_us;

    add(&history->all, history, result);
    if (recent)
        add(&history->recent, history, result);
    if (history->times != NULL)
        history->times[history->time_count++] = result->status == SHAKER_OK  ? (int64_t)result->rtt_us
                                                : result->status > SHAKER_OK ? TIME_LOST
                                                                             : TIME_UNKNOWN;
    /* A check without a verdict neither begins an outage nor ends one. */
    if (result->status > SHAKER_OK && history->down_since_us == 0)
        history->down_since_us = began_us;
    if (result->status != SHAKER_OK)
        return;
    history->answered = true;
    history->last_rtt_us = result->rtt_us;
    if (history->down_since_us != 0 && began_us > history->down_since_us)
        history->outage_us += began_us - history->down_since_us;
    history->down_since_us = 0;
}

void history_forget_recent(struct history *history)
{
    rtt_clear(&history->recent.rtt);
    history->recent = (struct tally){0};
}

uint64_t history_outage_us(const struct history *history, uint64_t now_us)
{
    uint64_t since_us = history->down_since_us;

    return history->outage_us + (since_us != 0 && now_us > since_us ? now_us - since_us : 0);
}

unsigned tally_loss(const struct tally *tally)
{
    return tally->sent == 0 ? 0 : (unsigned)((tally->sent - tally->received) * 100 / tally->sent);
}

uint64_t tally_jitter_us(const struct tally *tally)
{
    return tally->differences == 0 ? 0 : tally->differences_us / tally->differences;
}
