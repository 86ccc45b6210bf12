#include "engine/model/wire_check.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tern/model/v1/model.pb.h"
#include "tests/testing/forged_model.h"
#include "tests/testing/tiny_model.h"

namespace tern {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using model::v1::Header;
using ::testing::HasSubstr;

absl::Status Check(const std::string& bytes,
                   WireLimits limits = {.elements = 1000, .numbers = 1000}) {
  return CheckWire(testing::AsBytes(bytes), *Header::descriptor(), limits);
}

// A header with every message of the schema in it.
Header FullHeader() {
  Header header;
  const std::string file = testing::TinyModelBytes(
      testing::MakeTinyModel(testing::kTinyResidual, 1));
  header.ParseFromString(std::string(testing::HeaderBytes(file)));
  *header.mutable_graph()->add_node() =
      testing::MakeTinyModel(testing::kTinyConv, 1).header.graph().node(1);
  header.mutable_graph()->add_node()->mutable_avg_pool2d();
  header.mutable_graph()->add_node()->mutable_flatten();
  header.mutable_preprocessing()->set_cover_size(1);
  header.mutable_card()->add_metric()->set_name("top1");
  header.mutable_card()->mutable_golden()->add_logit(1);
  header.add_extension()->set_name("note");
  return header;
}

// Every message in a tree, the root first.
void Collect(Message* message, std::vector<Message*>* out) {
  out->push_back(message);
  std::vector<const FieldDescriptor*> fields;
  message->GetReflection()->ListFields(*message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->message_type() == nullptr) continue;
    const auto* reflection = message->GetReflection();
    if (!field->is_repeated()) {
      Collect(reflection->MutableMessage(message, field), out);
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(*message, field); ++i) {
      Collect(reflection->MutableRepeatedMessage(message, field, i), out);
    }
  }
}

TEST(WireCheckTest, AcceptsWhatThisBuildWrites) {
  EXPECT_TRUE(Check("").ok());
  EXPECT_TRUE(Check(FullHeader().SerializeAsString()).ok());
}

TEST(WireCheckTest, RefusesAnUnknownFieldAtEveryLevel) {
  Header header = FullHeader();
  std::vector<Message*> messages;
  Collect(&header, &messages);
  ASSERT_GT(messages.size(), 40u);
  for (Message* message : messages) {
    auto* unknown = message->GetReflection()->MutableUnknownFields(message);
    unknown->AddVarint(1000, 7);
    EXPECT_THAT(Check(header.SerializeAsString()).message(),
                HasSubstr("unknown field 1000"))
        << message->GetDescriptor()->full_name();
    unknown->Clear();
    unknown->AddLengthDelimited(1000, "x");
    EXPECT_FALSE(Check(header.SerializeAsString()).ok());
    unknown->Clear();
  }
  EXPECT_TRUE(Check(header.SerializeAsString()).ok());
}

TEST(WireCheckTest, RefusesAnUnknownValueOfEveryEnum) {
  Header header = FullHeader();
  std::vector<Message*> messages;
  Collect(&header, &messages);
  int enums = 0;
  for (Message* message : messages) {
    const auto* reflection = message->GetReflection();
    for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor* field = message->GetDescriptor()->field(i);
      if (field->enum_type() == nullptr) continue;
      ++enums;
      const int before = reflection->GetEnumValue(*message, field);
      for (const int value : {99, -1}) {
        reflection->SetEnumValue(message, field, value);
        EXPECT_THAT(Check(header.SerializeAsString()).message(),
                    HasSubstr("of " + std::string(field->enum_type()->name())));
      }
      reflection->SetEnumValue(message, field, before);
    }
  }
  EXPECT_GT(enums, 30);
}

TEST(WireCheckTest, NamesThePath) {
  Header header = FullHeader();
  auto* padding = header.mutable_graph()
                      ->mutable_node(2)
                      ->mutable_conv2d()
                      ->mutable_padding();
  padding->GetReflection()->MutableUnknownFields(padding)->AddVarint(5, 1);
  EXPECT_EQ(Check(header.SerializeAsString()).message(),
            "header.graph.node[2].conv2d.padding: unknown field 5");
}

TEST(WireCheckTest, RefusesASingularFieldTwiceAndASecondChoice) {
  EXPECT_EQ(Check("\x0a\x01"
                  "a\x0a\x01"
                  "b")
                .message(),
            "header.name: is there twice");
  // graph { node { linear {} flatten {} } }
  EXPECT_EQ(Check(std::string("\x12\x06\x12\x04\x2a\x00\x4a\x00", 8)).message(),
            "header.graph.node[0].flatten: a second choice of 'op'");
}

TEST(WireCheckTest, RefusesTextThatIsUnfitToShow) {
  const auto label = [](std::string_view text) {
    Header header;
    header.add_label(std::string(text));
    std::string bytes = "\x32";
    bytes += static_cast<char>(text.size());
    bytes += text;
    return Check(bytes);
  };
  for (const char* good :
       {"", "T-shirt/top", "\xc3\xa9t\xc3\xa9", "\xe2\x82\xac", "\xed\x9f\xbf",
        "\xee\x80\x80", "\xf0\x9f\x91\x9f", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(label(good).ok()) << good;
  }
  for (const char* control : {"\x1b[31m", "a\n", "\x7f", "\t"}) {
    EXPECT_EQ(label(control).message(),
              "header.label[0]: has a control character");
  }
  // Lone continuation, cut sequences, overlong forms, a surrogate, above
  // U+10FFFF, bytes that UTF-8 never has.
  for (const char* bad :
       {"\x80", "a\xc3", "\xe2\x82", "\xf0\x9f\x91", "\xc0\xaf", "\xc1\xbf",
        "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xff", "\xc3("}) {
    EXPECT_EQ(label(bad).message(), "header.label[0]: is not UTF-8");
  }
}

TEST(WireCheckTest, RefusesNumbersThatDoNotFit) {
  // input_quantization { zero_point: 2^32 }, unpacked and packed.
  EXPECT_THAT(Check("\x1a\x06\x10\x80\x80\x80\x80\x10").message(),
              HasSubstr("input_quantization.zero_point[0]: is 4294967296, too "
                        "large for its type uint32"));
  EXPECT_THAT(Check("\x1a\x07\x12\x05\x80\x80\x80\x80\x10").message(),
              HasSubstr("is 4294967296, too large"));
  // graph { node { batch_norm: 2 } }
  EXPECT_THAT(Check("\x12\x04\x12\x02\x58\x02").message(),
              HasSubstr("batch_norm: is 2, too large for its type bool"));
}

TEST(WireCheckTest, RefusesMalformedBytes) {
  EXPECT_THAT(Check("\x0a").message(), HasSubstr("malformed length"));
  EXPECT_THAT(Check("\x0a\x05"
                    "ab")
                  .message(),
              HasSubstr("header.name: is 5 bytes long, only 2 are there"));
  EXPECT_THAT(Check("\xff\xff\xff\xff\xff\xff").message(),
              HasSubstr("malformed tag"));
  EXPECT_THAT(Check("\x08\x01").message(),
              HasSubstr("header.name: wire type 0, must be 2"));
  EXPECT_THAT(Check("\x0b\x0c").message(), HasSubstr("wire type 3"));
  EXPECT_THAT(Check("\x51\x01\x02").message(),
              HasSubstr("softmax_temperature: cut short"));
  // A packed float of 3 bytes; a nested length beyond its parent.
  EXPECT_THAT(Check("\x1a\x05\x0a\x03"
                    "abc")
                  .message(),
              HasSubstr("input_quantization.scale[0]: cut short"));
  EXPECT_THAT(Check("\x12\x02\x12\x05xxxxx").message(),
              HasSubstr("graph.node[0]: is 5 bytes long, only 0 are there"));
}

TEST(WireCheckTest, BoundsHowManyMessagesAndTexts) {
  Header header;
  for (int i = 0; i < 100; ++i) header.add_label();
  EXPECT_TRUE(Check(header.SerializeAsString(), {.elements = 100}).ok());
  EXPECT_EQ(Check(header.SerializeAsString(), {.elements = 99}).message(),
            "header.label[99]: one of more than 99 messages and texts");
}

TEST(WireCheckTest, BoundsHowManyNumbers) {
  Header header;
  for (int i = 0; i < 100; ++i) header.add_tensor()->add_dim(1);
  const auto check = [&](int numbers) {
    return Check(header.SerializeAsString(),
                 {.elements = 100, .numbers = numbers});
  };
  EXPECT_TRUE(check(100).ok());
  EXPECT_EQ(check(99).message(),
            "header.tensor[99].dim[0]: one of more than 99 repeated numbers");
}

}  // namespace
}  // namespace tern
