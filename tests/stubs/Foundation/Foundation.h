/* Foundation for the tests: the few declarations that calib/metal*.m need, each transcribed from Apple's documentation (the address stands
 * beside it), so that these files can be checked and run where there is no Mac. A wrong reading of the documentation passes here, too. */
#ifndef TESTS_STUBS_FOUNDATION_H
#define TESTS_STUBS_FOUNDATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

typedef unsigned long NSUInteger;   /* developer.apple.com/documentation/objectivec/nsuinteger (64 bits) */
typedef signed char BOOL;           /* developer.apple.com/documentation/objectivec/bool (of Intel; bool on Apple silicon) */
typedef double CFTimeInterval;      /* developer.apple.com/documentation/corefoundation/cftimeinterval */

#define nil ((id)0)
#define NS_ENUM(type, name) enum name : type name; enum name : type         /* developer.apple.com/documentation/swift/grouping-related-objective-c-constants */
#define NS_OPTIONS(type, name) enum name : type name; enum name : type

typedef struct _NSRange {           /* developer.apple.com/documentation/foundation/nsrange-c.struct */
    NSUInteger location, length;
} NSRange;

static inline NSRange NSMakeRange(NSUInteger location, NSUInteger length)   /* .../foundation/nsmakerange */
{
    return (NSRange){location, length};
}

@protocol NSObject                  /* .../objectivec/nsobjectprotocol */
- (instancetype)retain;             /* .../objectivec/1418956-nsobject/retain */
- (oneway void)release;             /* .../objectivec/1418956-nsobject/release */
- (instancetype)autorelease;        /* .../objectivec/1418956-nsobject/autorelease */
- (BOOL)respondsToSelector:(SEL)selector;   /* .../objectivec/nsobjectprotocol/responds(to:) */
@end

__attribute__((objc_root_class))
@interface NSObject <NSObject>      /* .../objectivec/nsobject-swift.class */
{
    Class isa;
}
+ (instancetype)alloc;              /* .../objectivec/nsobject-swift.class/alloc */
- (instancetype)init;               /* .../objectivec/nsobject-swift.class/init() */
- (void)dealloc;                    /* .../objectivec/nsobject-swift.class/dealloc */
@end

@interface NSAutoreleasePool : NSObject     /* .../foundation/nsautoreleasepool: what @autoreleasepool makes on this runtime */
{
    int from;                       /* private: the old runtime wants members of a class here */
}
- (void)drain;                      /* .../foundation/nsautoreleasepool/drain */
@end

@interface NSString : NSObject      /* .../foundation/nsstring */
{
    char text[512];
}
+ (instancetype)stringWithUTF8String:(const char *)text;    /* .../foundation/nsstring/stringwithutf8string: */
@property (readonly) const char *UTF8String;                /* .../foundation/nsstring/utf8string */
@end

@interface NSError : NSObject       /* .../foundation/nserror */
@property (readonly, copy) NSString *localizedDescription;  /* .../foundation/nserror/localizeddescription */
@end

/* man 3 clock_gettime_nsec_np on macOS: nanoseconds of a clock; CLOCK_UPTIME_RAW stands while the machine sleeps */
enum { CLOCK_UPTIME_RAW = 8 };
uint64_t clock_gettime_nsec_np(clockid_t clock);

#define __MAC_15_0 150000           /* AvailabilityVersions.h: this SDK knows macOS 15 */

#endif
