#include "server/batching/prediction.h"

#include "gtest/gtest.h"

namespace tern::server {
namespace {

TEST(TimeToFree, OneExecutorDoesOneThingAfterTheOther) {
  EXPECT_EQ(TimeToFree({Nanos(0)}, Nanos(0)), Nanos(0));
  EXPECT_EQ(TimeToFree({Nanos(10)}, Nanos(0)), Nanos(10));
  EXPECT_EQ(TimeToFree({Nanos(10)}, Nanos(30)), Nanos(40));
}

TEST(TimeToFree, WorkGoesToTheFreeOnesFirst) {
  EXPECT_EQ(TimeToFree({Nanos(100), Nanos(0)}, Nanos(0)), Nanos(0));
  EXPECT_EQ(TimeToFree({Nanos(100), Nanos(0)}, Nanos(60)), Nanos(60));
  EXPECT_EQ(TimeToFree({Nanos(100), Nanos(0)}, Nanos(100)), Nanos(100));
  EXPECT_EQ(TimeToFree({Nanos(100), Nanos(0)}, Nanos(140)), Nanos(120));
  EXPECT_EQ(TimeToFree({Nanos(30), Nanos(10), Nanos(20)}, Nanos(30)),
            Nanos(30));
  EXPECT_EQ(TimeToFree({Nanos(30), Nanos(10), Nanos(20)}, Nanos(60)),
            Nanos(40));
}

TEST(TimeToFree, WhatRunsLongerThanPredictedCountsAsDone) {
  EXPECT_EQ(TimeToFree({Nanos(-50)}, Nanos(5)), Nanos(5));
}

}  // namespace
}  // namespace tern::server
