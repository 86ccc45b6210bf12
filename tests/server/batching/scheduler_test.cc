#include "server/batching/scheduler.h"

#include <optional>

#include "gtest/gtest.h"

namespace tern::server {
namespace {

TEST(RoundRobinScheduler, HasNothingToRunWhenNoQueueIsActive) {
  RoundRobinScheduler scheduler;
  EXPECT_EQ(scheduler.Next(), std::nullopt);
}

TEST(RoundRobinScheduler, GivesEachActiveQueueItsTurn) {
  RoundRobinScheduler scheduler;
  for (const QueueId id : {1, 2, 3}) scheduler.Activate(id);
  for (const QueueId want : {1, 2, 3, 1, 2, 3}) {
    EXPECT_EQ(scheduler.Next(), want);
  }
}

TEST(RoundRobinScheduler, SkipsQueuesThatRanDryAndTakesThemBack) {
  RoundRobinScheduler scheduler;
  for (const QueueId id : {1, 2, 3}) scheduler.Activate(id);
  EXPECT_EQ(scheduler.Next(), 1u);
  scheduler.Deactivate(2);
  EXPECT_EQ(scheduler.Next(), 3u);
  EXPECT_EQ(scheduler.Next(), 1u);
  scheduler.Activate(2);
  EXPECT_EQ(scheduler.Next(), 3u);
  EXPECT_EQ(scheduler.Next(), 1u);
  EXPECT_EQ(scheduler.Next(), 2u);
}

TEST(RoundRobinScheduler, ABusyQueueCannotStarveAnother) {
  RoundRobinScheduler scheduler;
  scheduler.Activate(1);
  for (int i = 0; i < 100; ++i) scheduler.Next();
  scheduler.Activate(2);
  scheduler.Next();
  EXPECT_EQ(scheduler.Next(), 2u);
}

}  // namespace
}  // namespace tern::server
